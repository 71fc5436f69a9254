package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vnetkit/cmd/vmrun/domain"
	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/mgmt/api"
	"vnetkit/remote/shell"
)

// resolve parses the cards and finds out what of the host they need.
func (o *order) resolve(e env) error {
	if err := o.readXML(e); err != nil {
		return err
	}
	if len(o.nets) == 0 {
		o.nets = []string{"switch"}
	}
	for i, text := range o.nets {
		n, err := netdev.ParseNet(text)
		if err != nil {
			return err
		}
		if i == 0 && o.vm.MAC != "" && n.Has("mac") {
			return &usageError{fmt.Sprintf("--mac %s and mac=%s are both the first card's address", o.vm.MAC, n.Get("mac")), "give one of them"}
		}
		n = n.WithOwn(o.vm.macOf(n, i))
		switch n.Mode {
		case "switch":
			n, err = o.resolveSwitch(n, i)
		case "network":
			n, err = o.resolveNetwork(n, i)
		case "user":
			n, err = o.resolveUser(n, e.free)
		case "ethernet":
			n, err = o.resolveEthernet(n)
		case "direct":
			n, err = o.resolveDirect(n, i)
		case "passt":
			n, err = o.resolvePasst(n, i, e)
		case "server":
			n, err = o.resolveServer(n, i)
		case "bridge", "tap":
			n, err = o.resolveBridge(n, i)
		}
		if err != nil {
			return err
		}
		o.vm.Nets = append(o.vm.Nets, n)
	}
	return nil
}

// resolveUser has the VM's first user network lead to the guest's SSH, and others
// that are to.
func (o *order) resolveUser(n netdev.Net, free func(int) bool) (netdev.Net, error) {
	if !n.Has("ssh") && (o.ssh != 0 || !o.vm.managed()) {
		return n, nil
	}
	n, port, err := withSSH(n, o.vm.Name, free)
	o.ssh = cmp.Or(o.ssh, port)
	return n, err
}

// maxXML is how large a domain's file may be.
const maxXML = 16 << 20

// readXML puts libvirt's interfaces before the others.
func (o *order) readXML(e env) error {
	if o.xml == "" {
		return nil
	}
	text, err := readFile(o.xml, maxXML)
	if err != nil {
		return err
	}
	nets, warnings, err := domain.Read(bytes.NewReader(text))
	var bad *netdev.UsageError
	if errors.As(err, &bad) {
		return &usageError{o.xml + ": " + bad.What, bad.Cure}
	}
	for _, w := range warnings {
		fmt.Fprintf(e.stderr, "vmrun: %s: %s\n", o.xml, w)
	}
	var texts []string
	for _, n := range nets {
		texts = append(texts, n.String())
	}
	if len(texts) == 0 {
		texts = []string{"none"} // a domain without an interface has no network
	}
	o.nets = append(texts, o.nets...)
	return nil
}

func (o *order) resolveSwitch(n netdev.Net, card int) (netdev.Net, error) {
	if n.Has("sock") {
		return o.resolvePort(n, card)
	}
	where := o.where
	if n.Has("name") {
		where = n.Get("name")
	}
	dir, err := findSwitch(where)
	if err != nil {
		return n, err
	}
	if err := api.CheckSocketPath(filepath.Join(dir, api.StreamName)); err != nil {
		return n, err // QEMU would cut it off without a word
	}
	return o.resolvePort(n.Set("sock", dir), card)
}

// findSwitch is a switch's directory. The default switch is the user's own, or is
// going to be, where there is only root's and the user may not enter it.
func findSwitch(where string) (string, error) {
	dir, err := api.FindDir(where)
	if err == nil && where == "" && errors.Is(mayEnter(dir), fs.ErrPermission) {
		return api.ResolveDir("")
	}
	return dir, err
}

// resolvePort gives a card that asks something of its port a port of its own, which
// the keeper has the switch make with these settings (dialled_linux.go): one that
// dials QEMU in the VM's directory, or with door=vhost one that listens there. The
// guest is never without the settings, and where the port cannot be had it has no
// network.
func (o *order) resolvePort(n netdev.Net, card int) (netdev.Net, error) {
	set, sw := n.Port(), n.Get("sock")
	switch {
	case set == "":
		return n, nil
	case !o.vm.managed():
		return n, &usageError{fmt.Sprintf("--net %s: %s: vmrun looks after a port only for a VM with a disk or a kernel", n.Mode, set), "use --net stream=unix:PATH,server=on, and: vnetctl -s " + sw + " port add stream:unix:PATH,connect=on," + set}
	case n.Get("door") == "vde":
		return n, &usageError{fmt.Sprintf("--net %s,door=vde: %s is set on a port of the VM's own, and this door is everybody's", n.Mode, set), "leave door= out"}
	case !o.print && !canBeDialled(sw):
		return n, &api.Error{Code: api.ErrForbidden, Message: fmt.Sprintf("--net %s: %s: the switch in %s is another user's, whose ports are not yours to set", n.Mode, set, sw), Hint: "start the VM as that user; or have the switch opened with a door for you: vswitch --port stream:unix:PATH," + set + ", and use --net stream=unix:PATH"}
	case n.Has("listen"):
		return n, nil
	}
	dir, err := vmDir(o.vm.Name)
	if err != nil {
		return n, err
	}
	// A port from another start of the VM, such as one in the switch's saved
	// configuration, dials another path unless it was made with the same settings.
	path := filepath.Join(dir, fmt.Sprintf("port%d-%.3x", card, sha256.Sum256([]byte(set))))
	return n.Set("listen", path), api.CheckSocketPath(path)
}

// resolveNetwork finds the switch or the bridge of a name.
func (o *order) resolveNetwork(n netdev.Net, card int) (netdev.Net, error) {
	name := n.Get("name")
	if dir, err := api.FindDir(name); err == nil {
		if _, err := os.Stat(dir); err == nil {
			return o.resolvePort(n.Set("sock", dir), card)
		}
	}
	if isBridge(name) {
		return n.Set("br", name), nil
	}
	return n, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("--net network=%s: there is neither a switch nor a bridge of that name", name), Hint: "start one: vswitch --name " + name}
}

// resolveBridge has QEMU's own TAP put into the bridge by a script of ours where
// we may do that; otherwise QEMU's helper makes one. Both go with QEMU.
func (o *order) resolveBridge(n netdev.Net, card int) (netdev.Net, error) {
	br := n.Get("br")
	if n.Has("script") && n.Get("isolated") == "on" {
		return n, &usageError{"--net " + n.Mode + ": isolated=on and script= are two ways to set up the TAP", "have the script do it: ip link set dev $1 type bridge_slave isolated on"}
	}
	if br == "" || n.Has("fd") || n.Has("fds") || n.Has("script") || n.Has("helper") {
		return n, nil
	}
	if !o.print && !isBridge(br) {
		return n, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("--net %s: there is no bridge %s on this host", n.Mode, br), Hint: "make it: vnetctl create bridge " + br}
	}
	if os.Geteuid() != 0 || !o.vm.managed() {
		if n.Mode == "tap" {
			return n, &api.Error{Code: api.ErrForbidden, Message: "--net tap,br=" + br + ": a TAP can be put into a bridge only by root, for a VM with a disk or a kernel", Hint: "use --net bridge=" + br + ", by QEMU's helper; or sudo"}
		}
		return n, nil
	}
	dir, err := vmDir(o.vm.Name)
	if err != nil {
		return n, err
	}
	if !n.Has("ifname") {
		n = n.Set("ifname", "vnet%d")
	}
	return n.Set("script", filepath.Join(dir, fmt.Sprintf("up%d", card))), nil
}

// bridgeScript puts QEMU's TAP into its bridge. QEMU gives up when it fails.
func bridgeScript(n netdev.Net) string {
	text := "#!/bin/sh\nset -e\nip link set dev \"$1\" master " + shell.Quote([]string{n.Get("br")}) + "\n"
	if n.Get("isolated") == "on" {
		text += "ip link set dev \"$1\" type bridge_slave isolated on\n"
	}
	return text + "exec ip link set dev \"$1\" up\n"
}

// resolveEthernet takes the downscript from QEMU, which does not run it when it
// is killed: it is the keeper's.
func (o *order) resolveEthernet(n netdev.Net) (netdev.Net, error) {
	down := n.Get("downscript")
	if !o.vm.managed() || down == "" || down == "no" {
		return n, nil
	}
	if !n.Has("ifname") {
		return n, &usageError{"--net ethernet: a downscript needs to be told the device", "give ifname=NAME"}
	}
	o.after = append(o.after, []string{down, n.Get("ifname")})
	return n.Set("downscript", "no"), nil
}

// resolveDirect has the keeper make a macvtap and hand it to QEMU, unless the
// caller has opened one.
func (o *order) resolveDirect(n netdev.Net, card int) (netdev.Net, error) {
	if n.Has("fd") || n.Has("fds") {
		return n, nil
	}
	if !o.vm.managed() {
		return n, &usageError{"--net direct: a macvtap can be made only for a VM with a disk or a kernel", "make one (vnetctl create tap mv0 -i macvtap:" + n.Get("dev") + "), open its /dev/tapN on a descriptor and give fd=N"}
	}
	if n.Has("queues") {
		return n, &usageError{"--net direct: the macvtap that vmrun makes has one queue", "leave queues= out, or open the device yourself and give fds="}
	}
	o.macvtaps = append(o.macvtaps, card)
	return n.Set("fd", strconv.Itoa(2+len(o.macvtaps))), nil // behind the standard three
}

// resolvePasst has the keeper start passt, for which QEMU listens in the VM's
// directory.
func (o *order) resolvePasst(n netdev.Net, card int, e env) (netdev.Net, error) {
	if n.Has("sock") || n.Has("fd") || n.Has("listen") {
		return n, nil
	}
	if !o.vm.managed() {
		return n, &usageError{"--net passt: passt can be started only for a VM with a disk or a kernel", "start it yourself and give sock=PATH"}
	}
	if _, err := e.lookPath("passt"); err != nil && !o.print {
		return n, &api.Error{Code: api.ErrFailed, Message: "--net passt: there is no program passt", Hint: "install it (Debian: sudo apt install passt), or use --net user, which is QEMU's own"}
	}
	dir, err := vmDir(o.vm.Name)
	if err != nil {
		return n, err
	}
	o.passts = append(o.passts, card)
	return n.Set("listen", filepath.Join(dir, fmt.Sprintf("passt%d", card))), nil
}

// resolveServer puts a switch of the VM's own at the address: QEMU itself serves
// one client at a time.
func (o *order) resolveServer(n netdev.Net, card int) (netdev.Net, error) {
	if n.Has("sock") || !o.vm.managed() {
		return n, nil
	}
	dir, err := vmDir(o.vm.Name)
	if err != nil {
		return n, err
	}
	sw := filepath.Join(dir, fmt.Sprintf("switch%d", card))
	n = n.Set("sock", sw)
	if !o.print { // it dials QEMU, also when it was killed and started again
		n = n.Set("listen", filepath.Join(dir, fmt.Sprintf("port%d", card)))
	}
	return n, api.CheckSocketPath(filepath.Join(sw, api.StreamName))
}

// serverArgs start the switch of a server.
func serverArgs(n netdev.Net) []string {
	addr := n.Get("addr")
	if strings.HasPrefix(addr, ":") {
		addr = "0.0.0.0" + addr // as QEMU's listen=
	}
	return []string{program("vswitch"), "-q", "-s", n.Get("sock"), "--port", "stream:tcp:" + comma(addr)}
}
