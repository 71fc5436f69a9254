package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/tap/hostnet"
)

// createFlags are those of create alone.
type createFlags struct {
	hostFlags
	bridge  string
	uplink  string
	taps    int
	plug    []string // TAPs for create switch
	group   string
	console string
	persist bool
}

// defaultBridge is the name of a bridge that nobody named.
const defaultBridge = "ctysbr0"

const createHelp = `Makes what virtual machines of a user need, with one call: a bridge, a TAP in it
that belongs to the user, and a switch that runs in the user's name and has the
TAP plugged in. What is there already is left as it is; doing it twice changes
nothing.

All of it is one transaction: the plan is written down before the first step,
each step is read back, and when one fails, or vnetctl is killed, all is undone
(by itself or with "vnetctl recover"). --dry-run shows the plan.

The bridge is -b; else the first bridge there is; else a new one, ctysbr0. No
interface is touched unless -i says so. -i eth0 puts eth0 into a new bridge and
moves its addresses, routes of all tables, rules and permanent neighbours there
in one write to the kernel; connections live on. -i auto takes the interface of
the default route. Where that is the way you came in, a guardian undoes the
change unless you log in anew and say "vnetctl confirm" within 60 s.
-i macvtap:eth0 leaves eth0 as it is and makes a macvtap on it instead of bridge
and TAP: one guest, with the macvtap's address, is on eth0's network and reaches
all there but this host.

What --persist made is made anew at boot by the service vnetctl-recover, or with
"vnetctl restore"; cancel ends that, too.

The directory of the switch is -s; else QEMUSOCK or CTYS_SOCKBASE as ctys has
them; else /run/vswitch/USER. Only the user may enter it (mode 0700); with -g it
has the s-bit and that group, which must be the user's (2700).`

func (a *app) createCommand() *cobra.Command {
	f := &createFlags{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make bridge, TAP and switch for a user, or one of them",
		Long:  createHelp,
		Example: `  vnetctl create -u alice                          bridge, TAP and switch for alice
  vnetctl create -u alice --dry-run                what that would do, as ip commands
  vnetctl create -u alice.kvm -b br0 --taps 2      in br0: a TAP for the switch, one for a guest
  vnetctl create -u alice -i eth0                  on the network that eth0 is on
  vnetctl create -u alice -i macvtap:eth0          one guest on it; eth0 stays as it is
  vnetctl create -u alice --persist                and again after each reboot
  vnetctl create bridge br1
  vnetctl create tap tap7 -b br1 -u alice
  vnetctl create switch lab -u alice --plug tap7`,
		Args: a.verb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cannot(a.change(cmd, &f.hostFlags, func(r *hostRun) error { return r.createSet(f) }), "create")
		},
	}
	f.register(cmd)
	f.setFlags(cmd, "b i t g S P")
	cmd.AddCommand(a.createBridgeCommand(), a.createTAPCommand(), a.createSwitchCommand())
	return cmd
}

// setFlags adds flags by their letters (t: --taps, p: --plug).
func (f *createFlags) setFlags(cmd *cobra.Command, letters string) {
	flags := cmd.Flags()
	flags.Bool("all-or-none", false, "with -r: on all hosts or on none; when one fails the others undo it") // see remotechange.go
	for _, letter := range strings.Fields(letters) {
		switch letter {
		case "b":
			flags.StringVarP(&f.bridge, "bridge", "b", "", "`BRIDGE` to use, made if there is none of this name")
			_ = cmd.RegisterFlagCompletionFunc("bridge", completeInterfaces("bridge"))
		case "i":
			flags.StringVarP(&f.uplink, "uplink", "i", "none", "none; `INTERFACE` to put into a new bridge, with its addresses; auto: that of the default route; macvtap:INTERFACE: a second address on it, for one guest and without a bridge")
			_ = cmd.RegisterFlagCompletionFunc("uplink", completeInterfaces(""))
		case "t":
			flags.IntVar(&f.taps, "taps", 1, "`N`umber of TAPs: the first is the switch's, the others are for guests (-netdev tap,ifname=tap1,script=no)")
		case "p":
			flags.StringArrayVar(&f.plug, "plug", nil, "plug in this `TAP`, that vnetctl made; may be repeated")
			_ = cmd.RegisterFlagCompletionFunc("plug", completeInterfaces("tuntap"))
		case "g":
			flags.StringVarP(&f.group, "group", "g", "", "`GROUP` for the s-bit of the directory; must be the user's")
		case "P":
			flags.BoolVar(&f.persist, "persist", false, "make it anew after each reboot (the service vnetctl-recover does)")
		case "S":
			flags.StringVarP(&f.console, "console", "S", "", "`SOCKET` of the management console (default QEMUMGMT, or mgmt in the directory)")
		}
	}
}

func (a *app) createBridgeCommand() *cobra.Command {
	f := &createFlags{}
	cmd := &cobra.Command{
		Use:   "bridge NAME",
		Short: "Make a bridge, perhaps with an uplink",
		Example: `  vnetctl create bridge br1
  vnetctl create bridge br0 -i eth0                eth0's addresses move to br0`,
		Args: arguments(1, 1, "the bridge's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.change(cmd, &f.hostFlags, func(r *hostRun) error {
				return r.createBridge(args[0], f, "")
			}), "create bridge %s", args[0])
		},
	}
	f.register(cmd)
	f.setFlags(cmd, "i P")
	return cmd
}

func (a *app) createTAPCommand() *cobra.Command {
	f := &createFlags{}
	cmd := &cobra.Command{
		Use:   "tap NAME",
		Short: "Make a TAP that a user may open",
		Example: `  vnetctl create tap tap7 -u alice
  vnetctl create tap tap7 -u alice.kvm -b br1      in a bridge; members of kvm may open it, too
  vnetctl create tap mv0 -u alice -i macvtap:eth0  for QEMU: -netdev tap,fd=3 3<>/dev/tapN`,
		Args: arguments(1, 1, "the TAP's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.change(cmd, &f.hostFlags, func(r *hostRun) error {
				parent, err := macvtapParent(f.uplink)
				if err != nil {
					return err
				}
				if parent == "" && f.uplink != "none" {
					return usage("create tap: -i wants macvtap:INTERFACE, not %q", f.uplink)
				}
				_, err = r.createTAP(hostnet.TAPWish{Name: args[0], Bridge: f.bridge, Parent: parent}, f)
				return err
			}), "create TAP %s", args[0])
		},
	}
	f.register(cmd)
	f.setFlags(cmd, "b i P")
	return cmd
}

func (a *app) createSwitchCommand() *cobra.Command {
	f := &createFlags{}
	cmd := &cobra.Command{
		Use:   "switch [NAME]",
		Short: "Run a switch in a user's name",
		Example: `  vnetctl create switch -u alice
  vnetctl create switch lab -u alice --plug tap7`,
		Args: arguments(0, 1, "the switch's name or directory, if it is not -s"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.change(cmd, &f.hostFlags, func(r *hostRun) error {
				dir, err := r.switchDir(strings.Join(args, ""))
				if err != nil {
					return err
				}
				return r.createSwitch(f, dir, f.plug, "")
			}), "create switch")
		},
	}
	f.register(cmd)
	f.setFlags(cmd, "p g S P")
	return cmd
}

// createSet plans bridge, TAPs and switch.
func (r *hostRun) createSet(f *createFlags) error {
	if f.taps < 0 || f.taps > 64 {
		return usage("create: --taps wants 0 to 64, not %d", f.taps)
	}
	dir, err := r.switchDir("")
	if err != nil {
		return err
	}
	set := setName(r.who, dir)
	if parent, err := macvtapParent(f.uplink); err != nil {
		return err
	} else if parent != "" {
		return r.createMacvtapSet(f, dir, parent, set)
	}
	bridge, err := r.chooseBridge(f, set)
	if err != nil {
		return err
	}
	if err := r.createBridge(bridge, f, set); err != nil {
		return err
	}
	taps, err := r.tapsOfSet(set, bridge)
	if err != nil {
		return err
	}
	for len(taps) < f.taps {
		name, err := r.createTAP(hostnet.TAPWish{Bridge: bridge, Set: set}, f)
		if err != nil {
			return err
		}
		taps = append(taps, name)
	}
	// The first is the switch's way into the bridge; a second one in the switch
	// would be a loop.
	return r.createSwitch(f, dir, taps[:min(1, len(taps))], set)
}

// tapsOfSet are the TAPs that an earlier call made for the same. They must be in
// the bridge that this one is about.
func (r *hostRun) tapsOfSet(set, bridge string) (taps []string, err error) {
	for _, o := range r.state.Objects {
		if o.Set != set || o.Kind != "tap" {
			continue
		}
		l, err := r.host.Link(o.Name)
		if err != nil {
			continue // somebody has deleted it
		}
		if l.Master != bridge {
			return nil, &hostnet.Error{Code: hostnet.ErrExists, Cause: fmt.Sprintf("TAP %s of user %s is there, in %s instead of bridge %s", o.Name, r.who.name, cmp.Or(l.Master, "no bridge"), bridge),
				Cure: fmt.Sprintf("vnetctl cancel -u %s, then create it anew; or give the second one a switch of its own with -s", r.who.name)}
		}
		taps = append(taps, o.Name)
		r.notes = append(r.notes, "TAP "+o.Name+" is there already")
	}
	return taps, nil
}

func (r *hostRun) createTAP(wish hostnet.TAPWish, f *createFlags) (string, error) {
	wish.UID, wish.GID, wish.User = r.who.uid, -1, r.who.name
	if r.who.group {
		wish.GID = r.who.gid
	}
	name, made, err := r.host.PlanTAP(r.plan, r.state, wish)
	if err != nil {
		return name, err
	}
	wish.Name = name
	r.keep(f, hostnet.Wish{Kind: "tap", Name: name, Set: wish.Set, TAP: &wish})
	if !made {
		r.notes = append(r.notes, "TAP "+name+" is there already")
	}
	return name, nil
}

// createSwitch plans the daemon with its TAPs.
func (r *hostRun) createSwitch(f *createFlags, dir string, taps []string, set string) error {
	mode := uint32(0o700)
	if f.group != "" {
		gid, err := lookupGroup(f.group)
		if err != nil {
			return err
		}
		if gid != r.who.gid {
			return &hostnet.Error{Code: hostnet.ErrInvalid, Cause: fmt.Sprintf("-g %s is not the group of -u %s", f.group, r.who.name), Cure: fmt.Sprintf("vnetctl create -u %s.%s -g %s", r.who.name, f.group, f.group)}
		}
		mode = 0o2700
	}
	if os.Geteuid() != 0 && os.Geteuid() != r.who.uid {
		return &hostnet.Error{Code: hostnet.ErrForbidden, Cause: fmt.Sprintf("only root can run a switch in the name of user %s", r.who.name), Cure: "sudo vnetctl create ..."}
	}
	program, err := findProgram()
	if err != nil {
		return err
	}
	if err := runnable(program, r.who); err != nil {
		return err
	}
	args, err := r.switchArgs(program, dir, f.console, taps)
	if err != nil {
		return err
	}
	wish := hostnet.SwitchWish{
		Switch: hostnet.Switch{
			Program: program, Args: args, Dir: dir, Ready: filepath.Join(dir, api.SocketName), TAPs: taps,
			UID: r.who.uid, GID: r.who.gid, Groups: r.who.groups,
		},
		Mode: mode, Set: set, State: hostnet.DefaultDir,
	}
	made, err := r.host.PlanSwitch(r.plan, r.state, wish)
	if err == nil {
		r.keep(f, hostnet.Wish{Kind: "switch", Name: dir, Set: set, Switch: &wish})
	}
	if err != nil || made {
		return err
	}
	if err := r.asAsked(f, wish); err != nil {
		return err
	}
	if err := r.mustAnswer(dir); err != nil {
		return err
	}
	note := "switch " + dir + " runs already"
	if _, ours := r.state.Find("switch", dir); !ours {
		note += ", not made by vnetctl, so cancel will leave it"
	}
	r.notes = append(r.notes, note)
	has := r.state.TAPsOf(dir)
	for _, tap := range taps {
		anew := slices.ContainsFunc(r.plan.Makes, func(o hostnet.Object) bool { return o.Kind == "tap" && o.Name == tap })
		if anew || !slices.Contains(has, tap) {
			return &hostnet.Error{Code: hostnet.ErrInUse, Cause: fmt.Sprintf("switch %s runs already, without a TAP %s", dir, tap), Cure: "vnetctl cancel, then create it anew with all its TAPs"}
		}
	}
	return nil
}

// switchArgs is the daemon's command line: its TAPs are descriptors from 3 on.
func (r *hostRun) switchArgs(program, dir, console string, taps []string) ([]string, error) {
	args := []string{"-s", dir, "--quiet"}
	if len(taps) > 0 {
		if err := mustKnow(program, "tap:fd=", "port kind tap"); err != nil {
			return nil, err
		}
	}
	for i, tap := range taps {
		args = append(args, "--port", fmt.Sprintf("tap:fd=%d,name=%s", 3+i, tap))
	}
	if console == "" {
		console = defaultConsole(r.who)
	}
	if console == "" {
		return args, nil
	}
	if err := mustKnow(program, "--mgmt ", "management console"); err != nil {
		return nil, err
	}
	console, err := filepath.Abs(console)
	return append(args, "--mgmt", console), err
}

// mustKnow refuses a vswitch of another version.
func mustKnow(program, word, what string) error {
	ok, err := knows(program, word)
	if err == nil && !ok {
		err = &hostnet.Error{Code: hostnet.ErrUnsupported, Cause: fmt.Sprintf("%s is of a version that has no %s", program, what), Cure: "install vswitch and vnetctl of the same version"}
	}
	return err
}

// completeInterfaces completes names of interfaces of a kind; "": of any.
func completeInterfaces(kind string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		h, err := hostnet.Open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer h.Close()
		links, _ := h.Links()
		var list []cobra.Completion
		for _, l := range links {
			if (kind == "" || l.Kind == kind) && l.Name != "lo" {
				list = append(list, cobra.CompletionWithDesc(l.Name, l.Kind))
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
