package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

// defaultQEMU is started when no program is named.
const defaultQEMU = "qemu-system-x86_64"

// netID is what QEMU calls our network backend.
const netID = "vnet0"

// machine is what is to be started.
type machine struct {
	Name   string   // "": QEMU's own -name, or all of its arguments
	MAC    string   // "": made from the name
	Socket string   // the switch's stream door
	QEMU   []string // arguments; the first may be the program
}

// args is the command line that starts m. It depends on nothing but m.
func (m machine) args() ([]string, error) {
	if err := api.CheckSocketPath(m.Socket); err != nil {
		return nil, err // QEMU would cut it off without a word
	}
	program, own := defaultQEMU, m.QEMU
	if len(own) > 0 && !strings.HasPrefix(own[0], "-") {
		program, own = own[0], own[1:]
	}
	named := option(own, "-name")
	if strings.ContainsRune(strings.Join(m.QEMU, "")+m.Name, 0) {
		return nil, &api.Error{Code: api.ErrInvalid, Message: "an argument has a NUL byte in it"}
	}
	if m.Name != "" && named != "" && m.Name != named {
		return nil, &usageError{fmt.Sprintf("--name %s and QEMU's -name %s differ", m.Name, named), "give one of them"}
	}
	mac, err := m.mac(named)
	if err != nil {
		return nil, err
	}
	// As JSON, where a comma in a path is only a comma.
	netdev, err := json.Marshal(struct {
		Type   string  `json:"type"`
		ID     string  `json:"id"`
		Server bool    `json:"server"`
		Addr   address `json:"addr"`
	}{"stream", netID, false, address{"unix", m.Socket}})
	if err != nil {
		return nil, fmt.Errorf("write -netdev: %w", err)
	}
	argv := append([]string{program}, own...)
	if m.Name != "" && named == "" {
		argv = append(argv, "-name", strings.ReplaceAll(m.Name, ",", ",,"))
	}
	return append(argv, "-netdev", string(netdev), "-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=%v", netID, mac)), nil
}

// address is QEMU's SocketAddress.
type address struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// mac is the card's address: locally given, with QEMU's own beginning, and the
// same for the same name everywhere.
func (m machine) mac(named string) (frame.MAC, error) {
	if m.MAC != "" {
		mac, err := frame.ParseMAC(m.MAC)
		if err != nil {
			return mac, &usageError{"--mac: " + err.Error(), "leave --mac out to get an address made from the name"}
		}
		if mac.IsGroup() || mac == (frame.MAC{}) {
			return mac, &usageError{fmt.Sprintf("--mac: %v addresses a group or nobody, and no card can have it", mac), "use an address whose first byte is even, as in 52:54:00:12:34:56"}
		}
		return mac, nil
	}
	name := m.Name
	if name == "" {
		name = named
	}
	if name == "" {
		name = strings.Join(m.QEMU, "\x00")
	}
	sum := sha256.Sum256([]byte(name))
	return frame.MAC{0x52, 0x54, 0x00, sum[0], sum[1], sum[2]}, nil
}

// option is the value of a QEMU option, up to its first single comma and
// without guest=, or "".
func option(args []string, name string) string {
	for i, arg := range args[:max(len(args)-1, 0)] {
		if arg != name && arg != "-"+name {
			continue
		}
		value := strings.ReplaceAll(args[i+1], ",,", "\x00")
		value, _, _ = strings.Cut(value, ",")
		return strings.ReplaceAll(strings.TrimPrefix(value, "guest="), "\x00", ",")
	}
	return ""
}

// shellQuote writes argv so that a shell reads it back.
func shellQuote(argv []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-"
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = arg
		if arg == "" || strings.Trim(arg, plain) != "" {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
