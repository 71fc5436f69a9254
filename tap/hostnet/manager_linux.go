package hostnet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Manager is a program that looks after an interface's addresses.
type Manager struct {
	Name  string // NetworkManager, systemd-networkd, dhclient, ...
	Sign  string // where that was seen
	Moves bool   // it would fight a move of the addresses
	Cure  string
}

// ManagerOf finds the program that manages an interface by the traces that such
// programs leave below root; nil: none. Several may; the one that would fight
// a move comes first.
func ManagerOf(root string, l Link) *Manager {
	index := fmt.Sprint(l.Index)
	if path := filepath.Join(root, "run/NetworkManager/devices", index); hasLine(path, "managed=true") {
		return &Manager{"NetworkManager", path, true, fmt.Sprintf("nmcli device set %s managed no (it keeps its addresses), or make the bridge with nmcli", l.Name)}
	}
	// networkd writes NETWORK_FILE for the interfaces that it configures.
	path := filepath.Join(root, "run/systemd/netif/links", index)
	if hasLine(path, "NETWORK_FILE=/run/systemd/network/10-netplan-") {
		return &Manager{"netplan (systemd-networkd)", path, true, "put the bridge into /etc/netplan (bridges: with interfaces: [" + l.Name + "]) and: netplan apply; then vnetctl create -b BRIDGE"}
	}
	if hasLine(path, "NETWORK_FILE=") {
		return &Manager{"systemd-networkd", path, true, "put a .netdev file for the bridge beside its .network file, or set Unmanaged=yes there and: networkctl reload"}
	}
	if m := dhcpClient(root, l.Name); m != nil {
		return m
	}
	for _, path := range []string{"run/network/ifstate." + l.Name, "run/network/ifstate"} {
		if path = filepath.Join(root, path); hasLine(path, l.Name+"=") || strings.HasSuffix(path, "."+l.Name) && hasLine(path, l.Name) {
			return &Manager{"ifupdown", path, false, "it changes nothing until ifup or ifdown; for good, put the bridge into /etc/network/interfaces"}
		}
	}
	return nil
}

// dhcpClient looks for a client whose command line names the interface.
func dhcpClient(root, name string) *Manager {
	files, _ := filepath.Glob(filepath.Join(root, "proc/[0-9]*/cmdline"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		args := strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")
		program := strings.TrimSuffix(filepath.Base(args[0]), ":")
		if !slices.Contains([]string{"dhclient", "dhcpcd", "udhcpc"}, program) {
			continue
		}
		// dhcpcd without an interface looks after all of them.
		if slices.Contains(args[1:], name) || program == "dhcpcd" && !slices.ContainsFunc(args[1:], func(a string) bool { return !strings.HasPrefix(a, "-") }) {
			pid := filepath.Base(filepath.Dir(f))
			return &Manager{program, "process " + pid, true, fmt.Sprintf("give %s a fixed address, or stop the client (kill %s) and start it on the bridge afterwards", name, pid)}
		}
	}
	return nil
}

func hasLine(path, prefix string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), prefix) {
			return true
		}
	}
	return false
}
