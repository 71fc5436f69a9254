package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

// defaultQEMU is started when no program is named.
const defaultQEMU = "qemu-system-x86_64"

// machine is what is to be started.
type machine struct {
	Name string       // "": QEMU's own -name, or all of its arguments
	MAC  string       // of the first card; "": made from the name
	Nets []netdev.Net // with all that had to be found out about the host
	QEMU []string     // arguments; the first may be the program

	// Of a VM whose command line is ours; none of them with a program in QEMU.
	Disk, Kernel, Initrd, Append, Seed string
	Memory                             string
	CPUs                               int
	KVM                                bool
}

// program is QEMU's name, and the arguments that are the user's own.
func (m machine) program() (name string, own []string) {
	if len(m.QEMU) > 0 && !strings.HasPrefix(m.QEMU[0], "-") {
		return m.QEMU[0], m.QEMU[1:]
	}
	return defaultQEMU, m.QEMU
}

// managed tells whether the command line is ours, and not only the network.
func (m machine) managed() bool { return m.Disk != "" || m.Kernel != "" }

// args is the command line that starts m. It depends on nothing but its own.
func (m machine) args(caps netdev.Caps) ([]string, error) {
	program, own := m.program()
	named := option(own, "-name")
	if strings.ContainsRune(strings.Join(m.QEMU, "")+m.Name+m.Disk+m.Kernel+m.Initrd+m.Append+m.Seed, 0) {
		return nil, &api.Error{Code: api.ErrInvalid, Message: "an argument has a NUL byte in it"}
	}
	if m.Name != "" && named != "" && m.Name != named {
		return nil, &usageError{fmt.Sprintf("--name %s and QEMU's -name %s differ", m.Name, named), "give one of them"}
	}
	if _, err := m.mac(named); err != nil {
		return nil, err
	}
	host := netdev.Host{Memory: option(own, "-m"), TCG: !m.KVM, NoPCI: noPCI(own), MAC: m.cardMAC}
	argv := []string{program}
	if m.managed() {
		host.Memory = m.Memory
		argv = append(argv, m.hardware()...)
	}
	argv = append(argv, own...)
	if m.Name != "" && named == "" {
		guest := comma(m.Name)
		if strings.ContainsRune(m.Name, '=') { // or QEMU would take it for an option
			guest = "guest=" + guest
		}
		argv = append(argv, "-name", guest)
	}
	cards, err := netdev.Args(m.Nets, caps, host)
	return append(argv, cards...), err
}

// hardware is the VM without its network.
func (m machine) hardware() []string {
	argv := []string{"-nodefaults", "-no-user-config", "-display", "none", "-machine", "accel=tcg", "-cpu", "max"}
	if m.KVM {
		argv[5], argv[7] = "accel=kvm", "host"
	}
	argv = append(argv, "-m", m.Memory, "-smp", strconv.Itoa(m.CPUs))
	if m.Disk != "" {
		format := "raw"
		if strings.HasSuffix(m.Disk, ".qcow2") {
			format = "qcow2"
		}
		argv = append(argv, m.drive("vmrundisk", m.Disk, format, "")...)
	}
	for _, o := range [][2]string{{"-kernel", m.Kernel}, {"-initrd", m.Initrd}, {"-append", m.Append}} {
		if o[1] != "" {
			argv = append(argv, o[0], o[1])
		}
	}
	if m.Seed != "" {
		argv = append(argv, m.drive("vmrunseed", m.Seed, "raw", ",readonly=on")...)
	}
	return argv
}

// drive is a disk of virtio's, on the bus that there is.
func (m machine) drive(id, file, format, more string) []string {
	d := "file=" + comma(file) + ",format=" + format + ",if="
	if _, own := m.program(); noPCI(own) {
		return []string{"-drive", d + "none,id=" + id + more, "-device", "virtio-blk-device,drive=" + id}
	}
	return []string{"-drive", d + "virtio" + more}
}

// noPCI tells whether the user's machine has no PCI bus, only virtio-mmio's: QEMU's
// microvm, unless it was given one.
func noPCI(own []string) bool {
	var options []string
	for i, arg := range own[:max(len(own)-1, 0)] {
		switch strings.TrimLeft(arg, "-") {
		case "M", "machine":
			options = append(options, strings.Split(own[i+1], ",")...)
		}
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(options, func(o string) bool { return slices.Contains(words, o) })
	}
	return has("microvm", "type=microvm") && !has("pcie=on", "pcie=yes", "pcie=true")
}

// comma writes text so that QEMU reads no options in it.
func comma(text string) string { return strings.ReplaceAll(text, ",", ",,") }

// mac is the first card's address: locally given, with QEMU's own beginning, and
// the same for the same name everywhere.
func (m machine) mac(named string) (frame.MAC, error) {
	if m.MAC == "" {
		return nameMAC(m.key(named)), nil
	}
	mac, err := frame.ParseMAC(m.MAC)
	if err != nil {
		return mac, &usageError{"--mac: " + err.Error(), "leave --mac out to get an address made from the name"}
	}
	if mac.IsGroup() || mac == (frame.MAC{}) {
		return mac, &usageError{fmt.Sprintf("--mac: %v addresses a group or nobody, and no card can have it", mac), "use an address whose first byte is even, as in 52:54:00:12:34:56"}
	}
	return mac, nil
}

// cardMAC is the address of a card that was given none. args has looked at it.
func (m machine) cardMAC(card int) frame.MAC {
	_, own := m.program()
	named := option(own, "-name")
	if card == 0 {
		mac, _ := m.mac(named)
		return mac
	}
	return nameMAC(m.key(named) + "\x00" + strconv.Itoa(card))
}

// macOf is the address of a card, which n may give it.
func (m machine) macOf(n netdev.Net, card int) frame.MAC {
	if mac, err := netdev.ParseMAC(n.Get("mac")); err == nil {
		return mac
	}
	return m.cardMAC(card)
}

// key is what addresses are made from.
func (m machine) key(named string) string {
	switch {
	case m.Name != "":
		return m.Name
	case named != "":
		return named
	}
	return strings.Join(m.QEMU, "\x00")
}

func nameMAC(name string) frame.MAC {
	sum := sha256.Sum256([]byte(name))
	return frame.MAC{0x52, 0x54, 0x00, sum[0], sum[1], sum[2]}
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
