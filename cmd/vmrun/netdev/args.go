package netdev

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"vnetkit/switch/frame"
)

// Caps is what a QEMU can do, as it says itself.
type Caps struct {
	// Netdevs has the options of each -netdev type there is.
	Netdevs map[string][]string `json:"netdevs"`
	// Socket has the options of -chardev socket.
	Socket []string `json:"socket"`
}

// Reconnects tells whether QEMU's -netdev stream connects again after the other
// side has gone.
func (c Caps) Reconnects() bool {
	return slices.ContainsFunc(c.Netdevs["stream"], func(o string) bool { return o == "reconnect-ms" || o == "reconnect" })
}

// Host is what Args has to know beside QEMU.
type Host struct {
	Memory string // of the VM, as for -m; shared memory must be as large
	TCG    bool   // no KVM
	NoPCI  bool   // the machine has no PCI bus
	MAC    func(card int) frame.MAC
}

// ID is what QEMU calls the backend of card n.
func ID(card int) string { return "vnet" + strconv.Itoa(card) }

// Args are QEMU's arguments for these cards. It depends on nothing but its own.
func Args(nets []Net, caps Caps, host Host) (argv []string, err error) {
	shared := false
	for i, n := range nets {
		b := builder{card: i, net: n, caps: caps, host: host}
		if err := b.build(); err != nil {
			return nil, err
		}
		if b.shared && !shared {
			shared = true
			size := memorySize(host.Memory)
			argv = append(argv, "-object", "memory-backend-memfd,id=vnetmem,size="+size+",share=on", "-machine", "memory-backend=vnetmem")
		}
		argv = append(argv, b.argv...)
	}
	if len(nets) > 0 && !slices.ContainsFunc(nets, func(n Net) bool { return n.Mode != "none" }) {
		argv = append(argv, "-nic", "none")
	}
	return argv, nil
}

// memorySize is -m's value as -object wants it: -m counts in MiB without a suffix.
func memorySize(m string) string {
	if m == "" {
		return "128M"
	}
	m, _, _ = strings.Cut(strings.TrimPrefix(m, "size="), ",")
	if strings.Trim(m, "0123456789") == "" {
		m += "M"
	}
	return m
}

// builder makes the arguments of one card.
type builder struct {
	card   int
	net    Net
	caps   Caps
	host   Host
	argv   []string
	shared bool // the guest's memory must be shared
}

// backend is a -netdev in QEMU's JSON form; keys are sorted when it is written.
type backend map[string]any

func (b *builder) build() error {
	for _, o := range b.net.opts {
		if !utf8.ValidString(o.value) { // JSON would change it
			return badf("choose another", "--net %s: %s=%q is not UTF-8", b.net.Mode, o.key, o.value)
		}
	}
	if err := b.net.checkPort(); err != nil {
		return err
	}
	be, err := b.backend()
	if err != nil {
		return err
	}
	if be != nil {
		typ := be["type"].(string)
		if _, ok := b.caps.Netdevs[typ]; !ok {
			return badf("install a QEMU that has it, or use another mode", "--net %s: this QEMU has no -netdev %s", b.net.Mode, typ)
		}
		be["id"] = ID(b.card)
		text, err := json.Marshal(be)
		if err != nil {
			return fmt.Errorf("write -netdev: %w", err)
		}
		b.argv = append(b.argv, "-netdev", string(text))
	}
	if b.net.Mode != "none" && b.net.Mode != "hostdev" {
		card, err := b.device(be != nil)
		if err != nil {
			return err
		}
		b.argv = append(b.argv, "-device", card)
	}
	return nil
}

// backend is what stands behind the card; nil: nothing.
func (b *builder) backend() (backend, error) {
	n := b.net
	switch n.Mode {
	case "none", "null":
		return nil, nil
	case "hostdev":
		b.argv = append(b.argv, "-device", "vfio-pci,host="+comma(n.Get("host")))
		return nil, nil
	case "switch", "network":
		return b.door()
	case "server":
		if n.Has("sock") { // of a switch that listens in QEMU's place
			return b.door()
		}
	case "passt":
		if n.Has("listen") { // for a passt that is started, perhaps again
			return backend{"type": "stream", "server": true, "addr": unixAddr(n.Get("listen"))}, nil
		}
		if n.Has("fd") {
			return backend{"type": "stream", "server": false, "addr": backend{"type": "fd", "str": n.Get("fd")}}, nil
		}
		if _, ok := b.caps.Netdevs["passt"]; ok && !n.Has("sock") {
			return backend{"type": "passt"}, nil
		}
		return b.stream(unixAddr(n.Get("sock"))), nil
	case "stream":
		return b.streamMode()
	case "dgram":
		return b.dgram()
	case "vhost-user":
		return b.vhostUser(n.Get("sock"), onOff[n.Get("server")]), nil
	}
	be := backend{"type": qemuTypes[n.Mode]}
	if be["type"] == "" {
		be["type"] = n.Mode
	}
	m, err := findMode(n.Mode)
	if err != nil {
		return nil, err
	}
	b.options(be, m)
	switch n.Mode {
	case "tap", "bridge", "direct", "ethernet":
		b.tap(be)
	case "vde":
		if v := n.Get("mode"); v != "" {
			mode, err := strconv.ParseUint(v, 8, 16)
			if err != nil {
				return nil, badf("for example mode=0700", "--net vde: mode=%s: want octal digits", v)
			}
			be["mode"] = mode
		}
	}
	return be, nil
}

// qemuTypes are the types of the modes that QEMU calls otherwise.
var qemuTypes = map[string]string{
	"ethernet": "tap", "direct": "tap", "mcast": "socket", "server": "socket", "client": "socket", "udp": "socket", "vdpa": "vhost-vdpa",
}

// options passes on what has the same meaning to QEMU.
func (b *builder) options(be backend, m *mode) {
	for _, k := range m.keys {
		if k.qemu == "" || !b.net.Has(k.name) {
			continue
		}
		v := b.net.Get(k.name)
		switch k.kind {
		case toggle:
			be[k.qemu] = onOff[v]
		case number:
			be[k.qemu], _ = strconv.ParseUint(v, 0, 64) // checked by ParseNet
		case list:
			var items []map[string]string
			for _, v := range b.net.All(k.name) {
				items = append(items, map[string]string{"str": v})
			}
			be[k.qemu] = items
		default:
			be[k.qemu] = v
		}
	}
	if q := b.queues(); q > 1 && (be["type"] == "tap" || be["type"] == "vhost-vdpa") && !b.net.Has("fds") && !b.net.Has("fd") {
		be["queues"] = q
	}
}

// tap chooses between a device that is there, QEMU's own and the helper's.
func (b *builder) tap(be backend) {
	n := b.net
	switch {
	case n.Has("fd") || n.Has("fds"): // made by somebody else
		be["type"] = "tap"
		delete(be, "ifname")
		delete(be, "br")
	case n.Mode != "ethernet" && n.Has("script"): // QEMU's own device, set up by the caller's
		be["type"], be["downscript"] = "tap", "no"
		delete(be, "br")
	case n.Mode == "bridge":
		for k := range be {
			if k != "helper" {
				delete(be, k)
			}
		}
		be["type"], be["br"] = "bridge", n.Get("br")
	case n.Mode == "tap" || n.Has("managed") && !onOff[n.Get("managed")]:
		be["script"], be["downscript"] = "no", "no"
	}
}

// door plugs into a switch. sock= is the switch's directory.
func (b *builder) door() (backend, error) {
	n := b.net
	if n.Has("br") {
		b.net.Mode = "bridge"
		return b.backend()
	}
	dir, door := n.Get("sock"), n.Get("door")
	_, stream := b.caps.Netdevs["stream"]
	_, vde := b.caps.Netdevs["vde"]
	switch {
	case door == "" && (stream || n.Port() != ""): // no other is made for the card
		door = "stream"
	case door == "" && vde:
		door = "vde"
	case door == "":
		return nil, badf("use --net client=HOST:PORT with: vswitch --port stream:tcp:HOST:PORT", "--net switch: this QEMU can plug into none of a switch's doors")
	}
	switch door {
	case "stream":
		if n.Has("listen") { // for a port of the switch that dials
			return backend{"type": "stream", "server": true, "addr": unixAddr(n.Get("listen"))}, nil
		}
		return b.stream(unixAddr(filepath.Join(dir, "stream"))), nil
	case "vde":
		return backend{"type": "vde", "sock": dir}, nil
	case "vhost":
		if n.Has("listen") { // at a port of the switch that is the card's alone
			return b.vhostUser(n.Get("listen"), false), nil
		}
		return b.vhostUser(filepath.Join(dir, "vhost"), false), nil
	}
	return nil, badf(hint(door, []string{"stream", "vde", "vhost"}), "--net switch: unknown door %q", door)
}

// vhostUser shares the guest's memory with whoever is at path.
func (b *builder) vhostUser(path string, server bool) backend {
	b.shared = true
	id := "vnetchr" + strconv.Itoa(b.card)
	chardev := "socket,id=" + id + ",path=" + comma(path)
	switch {
	case server:
		chardev += ",server=on,wait=on"
	case slices.Contains(b.caps.Socket, "reconnect-ms"):
		chardev += ",reconnect-ms=1000"
	default:
		chardev += ",reconnect=1"
	}
	b.argv = append(b.argv, "-chardev", chardev)
	be := backend{"type": "vhost-user", "chardev": id}
	if q := b.queues(); q > 1 {
		be["queues"] = q
	}
	return be
}

func (b *builder) queues() int {
	n, _ := strconv.Atoi(b.net.Get("queues"))
	return n
}

// device is the card itself.
func (b *builder) device(backed bool) (string, error) {
	n, model := b.net, b.net.Get("model")
	if model == "" || model == "virtio" {
		model = "virtio-net-pci"
		if b.host.NoPCI {
			model = "virtio-net-device"
		}
	}
	interrupts := !strings.HasSuffix(model, "-device") // on virtio-mmio there are no vectors
	for _, k := range []string{"queues", "mtu", "rxqueue", "txqueue"} {
		if n.Has(k) && !strings.HasPrefix(model, "virtio-net") {
			return "", badf("leave it out, or model=virtio", "--net %s: a card of model %s has no %s=", n.Mode, model, k)
		}
	}
	d := comma(model)
	if backed {
		d += ",netdev=" + ID(b.card)
	}
	address := n.Get("mac")
	if m, err := ParseMAC(address); err == nil {
		address = m.String()
	} else {
		address = b.host.MAC(b.card).String()
	}
	d += ",mac=" + address
	if q := b.queues(); q > 1 {
		d += ",mq=on"
		if interrupts {
			d += fmt.Sprintf(",vectors=%d", 2*q+2)
		}
	} else if b.shared && b.host.TCG && interrupts {
		d += ",vectors=0" // QEMU 7.2 without KVM dies of a vhost backend's interrupts otherwise
	}
	for _, p := range [][2]string{{"mtu", "host_mtu"}, {"boot", "bootindex"}, {"rxqueue", "rx_queue_size"}, {"txqueue", "tx_queue_size"}} {
		if v := n.Get(p[0]); v != "" {
			d += "," + p[1] + "=" + v
		}
	}
	for _, v := range n.All("device") {
		d += "," + v
	}
	return d, nil
}

// comma writes text so that QEMU reads no options in it.
func comma(text string) string { return strings.ReplaceAll(text, ",", ",,") }
