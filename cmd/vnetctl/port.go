package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/switch/link"
)

func (a *app) portCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "port",
		Short: "Add, change and remove ports",
		Example: `  vnetctl port add stream:unix:/run/vm1.sock,connect=on,name=vm1
  vnetctl port set vm1 mtu=1500
  vnetctl port remove vm1`,
		Args: a.verb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e := usage("port: a verb is missing")
			e.cause, e.cure = "the verbs are add, set, up, down and remove", "vnetctl port --help; vnetctl ports lists what there is"
			return e
		},
	}
	cmd.AddCommand(a.portAdd(), a.portSet(), a.portSwitch("up", false), a.portSwitch("down", true), a.portRemove())
	return cmd
}

func (a *app) portAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add SPEC",
		Short: "Add a port, or a door where each client becomes a port",
		Long: `Add a port, or a door where each client becomes a port.

SPEC is kind:address[,key=value]... A comma in a path is written twice.

  stream:unix:PATH              QEMU's -netdev stream connects to PATH; each connection is a port
  stream:tcp:[HOST]:PORT        the same over TCP; without a HOST only this machine may connect
  ...,connect=on                connect to a listening QEMU instead, and again whenever it comes back

Keys of every kind: name=S id=N vlan=PVID tagged=all|none|10+20-30
native=untagged|tagged|none mtu=N maclimit=N transparent=on isolated=on down=on mirror=PORT[:in|:out][+PORT...]
edge=auto|on|off cost=N priority=N bpduguard=on rootguard=on storm=N|off
impair=delay:20ms+in-loss:1% allowmac=52:54:00:12:34:56

Adding again what is there already changes nothing and is no error.`,
		Example: `  vnetctl port add stream:unix:/run/vm1.sock,connect=on,name=vm1,vlan=10
  vnetctl port add stream:tcp:127.0.0.1:5558
  vnetctl port add stream:unix:/run/sniff.sock,name=sniffer,mirror=all`,
		Args: arguments(1, 1, "one SPEC, such as stream:unix:/run/vm1.sock"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.addPort(cmd.Context(), args[0]), "add port %s", args[0])
		},
	}
}

func (a *app) addPort(ctx context.Context, text string) error {
	spec, err := link.ParseSpec(text)
	if err != nil {
		return &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "vnetctl port add --help"}
	}
	if spec.Addr, err = absolute(spec); err != nil {
		return err
	}
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	added, there, err := alreadyThere(ctx, c, spec)
	if err == nil && !there {
		added, err = c.AddPort(ctx, spec.String())
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(added)
	}
	verb := map[bool]string{true: "is there already", false: "added"}[there]
	if added.Port != nil {
		fmt.Fprintf(a.out, "port %s (%d) %s\n", added.Port.Name, added.Port.ID, verb)
	} else if added.Door != nil {
		fmt.Fprintf(a.out, "door %s %s\n", added.Door.Name, verb)
	}
	return nil
}

// absolute is a spec's address with a path from the root, if it has one: the
// daemon has another working directory than we.
func absolute(spec link.Spec) (addr string, err error) {
	path, unix := strings.CutPrefix(spec.Addr, "unix:")
	if path == "" || !unix && spec.Kind != "vde" && spec.Kind != "vhost-user" {
		return spec.Addr, nil
	}
	if path, err = filepath.Abs(path); unix {
		path = "unix:" + path
	}
	return path, err
}

// alreadyThere looks for a door or a port that was made from the very same spec.
func alreadyThere(ctx context.Context, c *client.Client, spec link.Spec) (api.Added, bool, error) {
	text, named := spec.String(), spec
	for _, key := range []string{"name", "id"} {
		ref, ok := named.Take(key)
		if !ok {
			continue
		}
		p, err := c.Port(ctx, ref)
		if err == nil && p.Spec == text {
			return api.Added{Port: &p}, true, nil
		}
		return api.Added{}, false, unlessNoPort(err)
	}
	info, err := c.Info(ctx)
	for _, d := range info.Doors {
		if d.Spec == text {
			return api.Added{Door: &d}, true, nil
		}
	}
	if err != nil || waitsForClients(spec) {
		return api.Added{}, false, err
	}
	// A second cable to the same place would be a loop. Who wants one gives both
	// names, and has the spanning tree on.
	ports, err := c.Ports(ctx)
	for _, p := range ports {
		if p.Spec == text {
			return api.Added{Port: &p}, true, nil
		}
	}
	return api.Added{}, false, err
}

// waitsForClients tells whether what spec makes is for clients that come, and not
// a cable to somewhere.
func waitsForClients(spec link.Spec) bool {
	connect, _ := spec.TakeSwitch("connect", false)
	listen, _ := spec.TakeSwitch("listen", false)
	switch spec.Kind {
	case "stream", "vhost-user":
		return !connect
	case "vde":
		return listen || spec.Addr == ""
	}
	return false
}

func unlessNoPort(err error) error {
	if errors.Is(err, api.ErrNoPort) {
		return nil
	}
	return err
}

func (a *app) portSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set PORT KEY=VALUE...",
		Short: "Change settings of a port",
		Long: `Change settings of a port. Several of them change at once or not at all.

  name=S            another name
  vlan=N            VLAN of untagged frames, 1 to 4094
  native=tagged     frames of that VLAN leave with a tag; none: there is no such VLAN, and
                    frames without a tag are dropped; untagged: neither
  tagged=SET        VLANs that the port carries tagged: all, none or 10+20-30
  transparent=on    tags are payload, reserved link-local addresses pass
  isolated=on       exchange nothing with other isolated ports
  down=on           carry nothing (as vnetctl port down)
  mtu=N             largest payload in bytes that may leave here, 68 to 65535
  maclimit=N        most addresses learned here; 0: no limit of its own
  allowmac=MACS     let only frames with these source addresses in: any, or up to 8 joined by +
  mirror=PORTS      show what these carry: none, or vm1:in+vm2:both, or all
  edge=on           spanning tree: leads to stations only; off: not; auto: if no bridge is heard
  cost=N            spanning tree: of the way through it; 0: the default
  priority=N        spanning tree: 16 to 240 in steps of 16, the lowest is chosen; 0: 128
  bpduguard=on      spanning tree: a bridge behind it shuts it; port up opens it again
  rootguard=on      spanning tree: never the way to the root
  storm=N           most frames for all in a second, broadcast:N+multicast:N+unknown:N, or off
  impair=WHAT       make the port's cable bad on purpose: none, or these joined
                    by +, each with in- or out- before it for one direction:
                    delay:20ms jitter:5ms loss:1% burst:4 dup:0.1% rate:10M
                    queue:100ms mtu:1400 reorder:on seed:7`,
		Example: `  vnetctl port set vm1 vlan=10 tagged=none
  vnetctl port set 3 name=uplink tagged=all mtu=9000
  vnetctl port set vm2 impair=delay:20ms+jitter:5ms+in-loss:1%+out-rate:10M
  vnetctl port set vm2 impair=none`,
		Args: arguments(2, many, "PORT and at least one KEY=VALUE"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completePorts(cmd, args, word)
			}
			var keys []cobra.Completion
			for _, key := range sortedKeys(settings) {
				keys = append(keys, key+"=")
			}
			return keys, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := parseSettings(args[1:])
			if err != nil {
				return err
			}
			return cannot(a.setPort(cmd.Context(), args[0], change), "change port %s", args[0])
		},
	}
}

func (a *app) setPort(ctx context.Context, ref string, change api.PortChange) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if change.Mirror != nil {
		if err := checkSources(ctx, c, *change.Mirror); err != nil {
			return err
		}
	}
	p, err := c.SetPort(ctx, ref, change)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	a.describePort(p)
	return nil
}

// describePort says in a line how a port is set.
func (a *app) describePort(p api.Port) {
	text := fmt.Sprintf("port %s (%d): %s, vlan=%d tagged=%s mtu=%d", p.Name, p.ID, p.State, p.PVID, p.Tagged, p.MTU)
	if p.Native == nativeTagged || p.Native == nativeNone {
		text += " native=" + p.Native
	}
	if p.Transparent {
		text += " transparent=on"
	}
	if f := flags(p); f != "" {
		text += " " + f
	}
	fmt.Fprintln(a.out, printable(text))
}

// settings are the keys of port set, as in specs.
var settings = map[string]func(*api.PortChange, string) error{
	"name":        func(c *api.PortChange, v string) error { c.Name = &v; return nil },
	"vlan":        func(c *api.PortChange, v string) error { return number(&c.PVID, v) },
	"native":      func(c *api.PortChange, v string) error { c.Native = &v; return nil },
	"tagged":      func(c *api.PortChange, v string) error { c.Tagged = &v; return nil },
	"transparent": func(c *api.PortChange, v string) error { return onOff(&c.Transparent, v) },
	"isolated":    func(c *api.PortChange, v string) error { return onOff(&c.Isolated, v) },
	"down":        func(c *api.PortChange, v string) error { return onOff(&c.Down, v) },
	"mtu":         func(c *api.PortChange, v string) error { return number(&c.MTU, v) },
	"maclimit":    func(c *api.PortChange, v string) error { return number(&c.MACLimit, v) },
	"allowmac":    func(c *api.PortChange, v string) error { c.AllowMAC = &v; return nil },
	"allowuser":   func(c *api.PortChange, v string) error { c.AllowUser = &v; return nil },
	"allowgroup":  func(c *api.PortChange, v string) error { c.AllowGroup = &v; return nil },
	"mirror":      func(c *api.PortChange, v string) error { c.Mirror = &v; return nil },
	"edge":        func(c *api.PortChange, v string) error { c.Edge = &v; return nil },
	"cost":        func(c *api.PortChange, v string) error { return number(&c.STPCost, v) },
	"priority":    func(c *api.PortChange, v string) error { return number(&c.STPPriority, v) },
	"bpduguard":   func(c *api.PortChange, v string) error { return onOff(&c.BPDUGuard, v) },
	"rootguard":   func(c *api.PortChange, v string) error { return onOff(&c.RootGuard, v) },
	"storm":       func(c *api.PortChange, v string) error { c.Storm = &v; return nil },
	"impair":      func(c *api.PortChange, v string) error { c.Impair = &v; return nil },
}

// aliases are the names that settings have elsewhere.
var aliases = map[string]string{"pvid": "vlan", "mac_limit": "maclimit", "mac-limit": "maclimit"}

func parseSettings(args []string) (api.PortChange, error) {
	var change api.PortChange
	given := map[string]string{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		key = cmp.Or(aliases[key], key)
		set := settings[key]
		if before := given[key]; before != "" {
			e := usage("port set: %s is given twice", key)
			e.cause, e.cure = fmt.Sprintf("%q and %q", before, arg), "vnetctl port set --help"
			return change, e
		}
		given[key] = arg
		if !ok || set == nil {
			e := usage("port set: %q is not a setting", arg)
			keys := sortedKeys(settings)
			e.cause, e.cure = "the keys are "+strings.Join(keys, ", "), "vnetctl port set --help"
			if slices.Contains(keys, key) {
				e.cause = fmt.Sprintf("its value is missing: %s=VALUE", key)
			} else if near := api.Nearest(key, keys); near != "" {
				e.cause = fmt.Sprintf("did you mean %q?", near+"=")
			}
			return change, e
		}
		if err := set(&change, value); err != nil {
			e := usage("port set: %s: %v", arg, err)
			e.cure = "vnetctl port set --help"
			return change, e
		}
	}
	return change, nil
}

func number(dst **int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is not a number", text)
	}
	*dst = &n
	return nil
}

func onOff(dst **bool, text string) error {
	var on bool
	switch text {
	case "on", "yes", "true", "1":
		on = true
	case "off", "no", "false", "0":
	default:
		return fmt.Errorf("%q is neither on nor off", text)
	}
	*dst = &on
	return nil
}
