package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
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
fail, with what cures it. It changes nothing. It sends a broadcast frame of the
Ethernet type for local experiments (88b5) through each TAP and the switch behind
it, and looks for it at the other side; and on each bridge that create made it
asks for an address by DHCP and does not take it, to see which servers there are
(--dhcp 0 does not).

Exit code 0: nothing failed; 1: something did.`

func (a *app) checkCommand() *cobra.Command {
	f := &hostFlags{}
	var dhcp time.Duration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Examine the host and what create made",
		Long:  checkHelp,
		Example: `  vnetctl check
  vnetctl check -u alice
  vnetctl check --json | jq -r '.findings[] | select(.state != "ok") | .cure'`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dhcp < 0 || dhcp > time.Minute {
				return usage("check: --dhcp wants 0s to 1m, not %v", dhcp)
			}
			return a.check(cmd, f, dhcp)
		},
	}
	cmd.Flags().StringVarP(&f.owner, "user", "u", "", "look at what `USER[.GROUP]` has (default: at everything)")
	cmd.Flags().DurationVar(&dhcp, "dhcp", 1500*time.Millisecond, "how long to wait for DHCP servers; 0: ask none")
	cmd.Flags().BoolVarP(&f.terse, "terse", "X", false, "print nothing: only the exit code counts")
	cmd.Flags().BoolVarP(&f.bare, "no-title", "n", false, "only what is not ok")
	return cmd
}

func (a *app) check(cmd *cobra.Command, f *hostFlags, dhcp time.Duration) error {
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
	e.managers()
	if state, err := hostnet.ReadState(hostnet.DefaultDir); err != nil {
		e.fail("state", err.Error(), hintOf(err))
	} else {
		for _, o := range state.Objects {
			if f.owner == "" || o.UID == who.uid {
				e.object(o)
			}
		}
		if e.pending == "" { // else they may be its own
			e.orphans(state)
			e.processes(state)
		}
		e.persistent(state)
		e.dhcp(state, dhcp)
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
	pending  string // what ends a change that is half done; empty: none is
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

// journal looks for a run that did not end.
func (e *exam) journal() {
	engine := hostnet.Engine{Host: e.host, Dir: hostnet.DefaultDir}
	text, cure, err := engine.Unfinished()
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.pending = "sudo vnetctl check"
		e.warn("journal", "only root may look whether a change is half done", e.pending)
	case err != nil:
		e.pending = hintOf(err)
		e.fail("journal", err.Error(), e.pending)
	case text != "":
		e.pending = cure
		e.fail("journal", text, cure)
	default:
		e.ok("journal", "no change is half done")
	}
}

// object looks at something that create made.
func (e *exam) object(o hostnet.Object) {
	what := o.Kind + " " + o.Name
	again := cmp.Or(e.pending, "vnetctl recover does not help here: vnetctl cancel "+o.Kind+" "+o.Name+", then create it anew")
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
	case "tap":
		if l, err := e.host.Link(o.Name); err == nil && !l.Carrier {
			e.warn(what, "has no carrier: nobody has it open", "vnetctl create switch NAME --plug "+o.Name+", or start its guest")
		}
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
	mtu, carrier, uplink := 0, false, moved(o)
	for _, l := range links {
		if l.Name == o.Name {
			mtu, carrier = l.MTU, l.Carrier
		}
	}
	if !carrier {
		e.warn("bridge "+o.Name, "has no carrier: none of its ports has one", "vnetctl create tap NAME -b "+o.Name+"; ip link show master "+o.Name)
	}
	if uplink != "" {
		e.sysctls(o.Name)
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
		if l.Up && !l.Carrier && l.Name == uplink {
			e.fail("bridge "+o.Name, "its uplink "+l.Name+" has no carrier", "look at its cable, and at the other end of it")
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
	e.ok(what, fmt.Sprintf("answers within %v, ports: %d", time.Since(begin).Round(10*time.Microsecond), len(ports)))
	e.doors(what, run)
	e.console(ctx, what, run)
	for _, tap := range run.TAPs {
		e.tapPort(what, tap, run, ports)
	}
}

// doors looks whether the switch's user can go through them.
func (e *exam) doors(what string, run *hostnet.Switch) {
	before := len(e.findings)
	for _, name := range []string{api.SocketName, api.StreamName, api.VDEName} {
		var st unix.Stat_t
		path := filepath.Join(run.Dir, name)
		err := unix.Lstat(path, &st)
		switch {
		case err != nil:
			e.fail(what, fmt.Sprintf("its door %s cannot be looked at: %v", path, err), fmt.Sprintf("vnetctl cancel switch %s, then create it anew", run.Dir))
		case int(st.Uid) != run.UID || st.Mode&0o600 != 0o600:
			e.fail(what, fmt.Sprintf("its door %s is user %d's, mode %04o: user %d does not get in", path, st.Uid, st.Mode&0o7777, run.UID), fmt.Sprintf("chown %d %s; chmod u+rw %s", run.UID, path, path))
		}
	}
	if len(e.findings) == before {
		e.ok(what, fmt.Sprintf("its doors are user %d's", run.UID))
	}
}

// console asks at the management console, as unixterm does.
func (e *exam) console(ctx context.Context, what string, run *hostnet.Switch) {
	socket := run.Dir
	if i := slices.Index(run.Args, "--mgmt"); i >= 0 && i+1 < len(run.Args) {
		socket = run.Args[i+1]
	}
	c, err := client.DialConsole(ctx, socket)
	if err == nil {
		defer c.Close()
		var answer client.ConsoleAnswer
		if answer, err = c.Do(ctx, "showinfo"); err == nil && !answer.OK() {
			err = fmt.Errorf("it says %d %s to showinfo", answer.Code, answer.Status)
		}
	}
	if err != nil {
		e.fail(what, "its console does not answer: "+err.Error(), fmt.Sprintf("vnetctl cancel switch %s, then create it anew", run.Dir))
		return
	}
	e.ok(what, "its console answers")
}

// tapPort looks at a TAP from the switch's side, and sends a frame through both.
func (e *exam) tapPort(what, tap string, run *hostnet.Switch, ports []api.Port) {
	l, err := e.host.Link(tap)
	if err != nil {
		return // its own finding says so
	}
	i := slices.IndexFunc(ports, func(p api.Port) bool { return p.Name == tap })
	if i < 0 || ports[i].State != api.StateUp {
		e.fail(what, "TAP "+tap+" is not plugged in, or not up", "vnetctl -s "+run.Dir+" ports -o wide says why")
		return
	}
	if ports[i].MTU < l.MTU {
		e.warn(what, fmt.Sprintf("lets frames of %d bytes out to TAP %s, whose MTU is %d: larger ones are lost", ports[i].MTU, tap, l.MTU), fmt.Sprintf("vnetctl -s %s port set %s mtu=%d", run.Dir, tap, l.MTU))
	}
	took, err := echoTAP(l, filepath.Join(run.Dir, api.StreamName))
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.warn(what, "only root may send a frame through TAP "+tap, "sudo vnetctl check")
	case err != nil:
		e.fail(what, fmt.Sprintf("a frame sent into TAP %s did not come out of the switch: %v", tap, err), "vnetctl -s "+run.Dir+" stats shows drops by reason")
	default:
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
