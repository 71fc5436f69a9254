package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/tap/hostnet"
)

const (
	stateOK   = "ok"
	stateWarn = "warn"
	stateFail = "fail"
)

const checkHelp = `Examines the host and what create made for a user: one line each, ok, warn or
fail, with what cures it. It changes nothing but for one broadcast frame of the
Ethernet type for local experiments (88b5) that it sends through each TAP and the
switch behind it, and looks for at the other side.

Exit code 0: nothing failed; 1: something did.`

func (a *app) checkCommand() *cobra.Command {
	f := &hostFlags{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Examine the host and what create made",
		Long:  checkHelp,
		Example: `  vnetctl check
  vnetctl check -u alice
  vnetctl check --json | jq -r '.findings[] | select(.state != "ok") | .cure'`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.check(cmd, f)
		},
	}
	cmd.Flags().StringVarP(&f.owner, "user", "u", "", "look at what `USER[.GROUP]` has (default: at everything)")
	cmd.Flags().BoolVarP(&f.terse, "terse", "X", false, "print nothing: only the exit code counts")
	cmd.Flags().BoolVarP(&f.bare, "no-title", "n", false, "only what is not ok")
	return cmd
}

func (a *app) check(cmd *cobra.Command, f *hostFlags) error {
	who, err := lookupAccount(f.owner)
	if err != nil {
		return cannot(err, "check")
	}
	h, err := hostnet.Open()
	if err != nil {
		return cannot(err, "check")
	}
	defer h.Close()
	e := &exam{ctx: cmd.Context(), host: h, root: "/"}
	e.devices(who)
	e.journal()
	e.firewall()
	if state, err := hostnet.ReadState(hostnet.DefaultDir); err != nil {
		e.fail("state", err.Error(), hintOf(err))
	} else {
		for _, o := range state.Objects {
			if f.owner == "" || o.UID == who.uid {
				e.object(o)
			}
		}
		e.orphans(state)
		e.persistent(state)
	}
	e.switches()
	return a.showFindings(e.findings, f)
}

func (a *app) showFindings(list []finding, f *hostFlags) error {
	answer := checkAnswer{Findings: list}
	for _, l := range list {
		switch l.State {
		case stateWarn:
			answer.Warnings++
		case stateFail:
			answer.Failures++
		}
	}
	switch {
	case a.json:
		if err := a.printJSON(answer); err != nil {
			return err
		}
	case !f.terse:
		for _, l := range list {
			if f.bare && l.State == stateOK {
				continue
			}
			fmt.Fprintf(a.out, "%-4s  %s: %s\n", l.State, printable(l.What), printable(l.Text))
			if l.Cure != "" && l.State != stateOK {
				fmt.Fprintf(a.out, "      cure: %s\n", printable(l.Cure))
			}
		}
	}
	if answer.Failures > 0 {
		return errSilent(api.ExitFailed)
	}
	return nil
}

// exam gathers findings.
type exam struct {
	ctx      context.Context
	host     *hostnet.Host
	root     string // "/", or a test's own
	findings []finding
}

func (e *exam) ok(what, text string) {
	e.findings = append(e.findings, finding{stateOK, what, text, ""})
}
func (e *exam) warn(what, text, cure string) {
	e.findings = append(e.findings, finding{stateWarn, what, text, cure})
}
func (e *exam) fail(what, text, cure string) {
	e.findings = append(e.findings, finding{stateFail, what, text, cure})
}

func hintOf(err error) string {
	_, e, _ := parts(err)
	return e.Hint
}

// devices looks at the device files that guests and TAPs need.
func (e *exam) devices(who account) {
	for _, d := range []struct{ path, without, load string }{
		{"/dev/net/tun", "no TAP can be opened", "modprobe tun"},
		{"/dev/kvm", "guests run in software, many times slower", "modprobe kvm_intel or kvm_amd; in a VM, let it have nested virtualization"},
	} {
		var st unix.Stat_t
		path := filepath.Join(e.root, d.path)
		if err := unix.Stat(path, &st); err != nil {
			report := e.warn
			if d.path == "/dev/net/tun" {
				report = e.fail
			}
			report(d.path, "is not there: "+d.without, d.load)
			continue
		}
		if may(st, who) {
			e.ok(d.path, "user "+who.name+" may open it")
			continue
		}
		cure := fmt.Sprintf("usermod -a -G GROUP %s, with the group of: ls -l %s", who.name, d.path)
		if d.path == "/dev/net/tun" {
			e.ok(d.path, fmt.Sprintf("user %s may not open it, and need not: vnetctl hands TAPs over", who.name))
			continue
		}
		e.warn(d.path, fmt.Sprintf("user %s may not open it: %s", who.name, d.without), cure)
	}
}

// may tells whether a user may read and write by mode alone.
func may(st unix.Stat_t, who account) bool {
	const readWrite = 0o6
	switch {
	case who.uid == 0:
		return true
	case int(st.Uid) == who.uid:
		return st.Mode>>6&readWrite == readWrite
	}
	for _, g := range append([]uint32{uint32(who.gid)}, who.groups...) {
		if st.Gid == g && st.Mode>>3&readWrite == readWrite {
			return true
		}
	}
	return st.Mode&readWrite == readWrite
}

// journal looks for a run that did not end.
func (e *exam) journal() {
	engine := hostnet.Engine{Host: e.host, Dir: hostnet.DefaultDir}
	text, cure, err := engine.Unfinished()
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.warn("journal", "only root may look whether a change is half done", "sudo vnetctl check")
	case err != nil:
		e.fail("journal", err.Error(), hintOf(err))
	case text != "":
		e.fail("journal", text, cure)
	default:
		e.ok("journal", "no change is half done")
	}
}

// firewall looks for the usual reason why bridged guests hear nothing: bridged
// frames go through a FORWARD chain that drops, as Docker sets it.
func (e *exam) firewall() {
	text, err := os.ReadFile(filepath.Join(e.root, "proc/sys/net/bridge/bridge-nf-call-iptables"))
	if err != nil || strings.TrimSpace(string(text)) == "0" {
		e.ok("br_netfilter", "bridged frames do not pass the firewall")
		return
	}
	const cure = "let bridged frames pass: iptables -I DOCKER-USER -m physdev --physdev-is-bridged -j ACCEPT (without Docker: -I FORWARD), or sysctl net.bridge.bridge-nf-call-iptables=0"
	if _, err := e.host.Link("docker0"); err == nil {
		e.fail("br_netfilter", "bridged frames pass the firewall, and Docker drops what it does not know", cure)
		return
	}
	e.warn("br_netfilter", "bridged frames pass the firewall: a FORWARD chain that drops will drop guests' frames", cure)
}

// object looks at something that create made.
func (e *exam) object(o hostnet.Object) {
	what := o.Kind + " " + o.Name
	again := "vnetctl recover does not help here: vnetctl cancel " + o.Kind + " " + o.Name + ", then create it anew"
	before := len(e.findings)
	for _, step := range o.Steps {
		if err := step.Done(e.host); err != nil {
			words, _ := step.Text()
			e.fail(what, fmt.Sprintf("is not as it was made (%s): %v", words, err), again)
		}
	}
	if len(e.findings) == before {
		e.ok(what, "is as it was made")
	}
	switch o.Kind {
	case "bridge":
		e.bridge(o)
	case "switch":
		e.daemon(o)
	}
}

// bridge looks at its MTUs and at who manages its uplink.
func (e *exam) bridge(o hostnet.Object) {
	links, err := e.host.Links()
	if err != nil {
		return
	}
	mtu := 0
	for _, l := range links {
		if l.Name == o.Name {
			mtu = l.MTU
		}
	}
	for _, l := range links {
		if l.Master != o.Name {
			continue
		}
		if l.MTU != mtu {
			e.warn("bridge "+o.Name, fmt.Sprintf("has MTU %d and its port %s has %d: larger frames are lost between them", mtu, l.Name, l.MTU), fmt.Sprintf("ip link set dev %s mtu %d", l.Name, mtu))
		}
		if !l.Up {
			e.fail("bridge "+o.Name, "its port "+l.Name+" is down", "ip link set dev "+l.Name+" up")
		}
		if m := hostnet.ManagerOf(e.root, l); m != nil && m.Moves {
			e.warn("bridge "+o.Name, fmt.Sprintf("%s manages its port %s (%s) and may give it addresses of its own", m.Name, l.Name, m.Sign), m.Cure)
		}
	}
}

// daemon asks a switch and sends a frame through its TAPs.
func (e *exam) daemon(o hostnet.Object) {
	run, ok := o.Steps[len(o.Steps)-1].(*hostnet.Switch)
	if !ok || run.PID() == 0 {
		return // object has said so
	}
	what := "switch " + o.Name
	ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
	defer cancel()
	begin := time.Now()
	ports, err := portsAt(ctx, run.Ready)
	if err != nil {
		e.fail(what, "does not answer: "+err.Error(), fmt.Sprintf("look at %s.log; kill %d, then vnetctl create", run.Record, run.PID()))
		return
	}
	e.ok(what, fmt.Sprintf("answers within %v, %d ports", time.Since(begin).Round(10*time.Microsecond), len(ports)))
	for _, tap := range run.TAPs {
		up := false
		for _, p := range ports {
			up = up || p.Name == tap && p.State == api.StateUp
		}
		if !up {
			e.fail(what, "TAP "+tap+" is not plugged in, or not up", "vnetctl -s "+o.Name+" ports -o wide says why")
			continue
		}
		l, err := e.host.Link(tap)
		if err != nil {
			continue // its own finding says so
		}
		took, err := echoTAP(l, filepath.Join(run.Dir, api.StreamName))
		if errors.Is(err, fs.ErrPermission) {
			e.warn(what, "only root may send a frame through TAP "+tap, "sudo vnetctl check")
			continue
		}
		if err != nil {
			e.fail(what, fmt.Sprintf("a frame sent into TAP %s did not come out of the switch: %v", tap, err), "vnetctl -s "+o.Name+" stats shows drops by reason")
			continue
		}
		e.ok(what, fmt.Sprintf("a frame went through TAP %s and the switch in %v", tap, took.Round(10*time.Microsecond)))
	}
}

// orphans looks for interfaces that bear our mark and are in no record.
func (e *exam) orphans(s *hostnet.State) {
	links, err := e.host.Links()
	if err != nil {
		e.fail("interfaces", err.Error(), "")
		return
	}
	for _, l := range links {
		if !hostnet.Marked(l.Alias) {
			continue
		}
		_, bridge := s.Find("bridge", l.Name)
		_, tap := s.Find("tap", l.Name)
		if !bridge && !tap {
			e.warn(l.Name, "bears vnetctl's mark, and vnetctl has no record of it", "if nobody needs it: ip link delete "+l.Name)
		}
	}
}

// persistent looks for what should have come back after a reboot.
func (e *exam) persistent(s *hostnet.State) {
	list, err := hostnet.Persistent(hostnet.DefaultLib)
	if err != nil {
		e.fail("restore", err.Error(), hintOf(err))
	}
	for _, w := range list {
		if _, ok := s.Find(w.Kind, w.Name); !ok {
			e.fail(w.Kind+" "+w.Name, "was created with --persist, and is not there", "vnetctl restore; at each boot: systemctl enable vnetctl-recover")
		}
	}
}

// switches looks for sockets that nobody answers at.
func (e *exam) switches() {
	for _, f := range client.Find(e.ctx) {
		if f.Err != nil {
			_, err, _ := parts(f.Err)
			e.warn("switch "+f.Dir, "a socket is there, and "+err.Message, err.Hint)
		}
	}
}
