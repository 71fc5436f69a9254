package main

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/config"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
)

// options is the command line.
type options struct {
	help    string // what to print and leave
	version bool

	dir       string
	ports     []string
	taps      []string // names of TAP devices, which become ports
	defaults  string
	mode      fs.FileMode
	group     int // gid of the directory and its doors; -1: the process's
	mgmtGroup int // gid that may change the switch; -1: none
	hub       bool
	stp       stpOptions
	ageing    time.Duration
	fdbSize   int
	workers   int
	spin      time.Duration
	metrics   string // address for scrapes; "": none
	web       string // address of the web page; "": none
	webWrite  bool   // the web page may change the switch
	config    configOptions
	vde       vdeOptions
	verbose   bool
	quiet     bool
}

const maxSpin = config.MaxSpin

func parseFlags(args []string) (options, error) { return parseArgs(args, false) }

// parseArgs reads the command line; vde says that we are called vde_switch.
func parseArgs(args []string, vde bool) (options, error) {
	var o options
	var raw rawOptions
	o.vde.is = vde
	f := o.flags(&raw)
	args, err := newGrammar(f, vde).translate(args)
	if err != nil {
		return o, err
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if raw.help {
		o.help = helpText(f)
		return o, nil
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for _, name := range o.taps {
		o.ports = append(o.ports, link.Spec{Kind: "tap", Addr: name}.String())
	}
	if err := o.treeVDE(f); err != nil {
		return o, err
	}
	if err := o.readConfig(f, args); err != nil {
		return o, err
	}
	if err := o.defaultsVDE(f, &raw); err != nil {
		return o, err
	}
	if err := o.resolve(raw); err != nil {
		return o, err
	}
	if err := o.resolveVDE(raw); err != nil {
		return o, err
	}
	o.settle(f)
	return o, nil
}

// rawOptions are options as they were typed.
type rawOptions struct {
	dir, name, mode, group, mgmtGroup string
	help                              bool
	vde                               rawVDE
}

// flags makes the flags that fill in o and raw.
func (o *options) flags(raw *rawOptions) *pflag.FlagSet {
	f := pflag.NewFlagSet("vswitch", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVarP(&raw.dir, "sock", "s", "", "`DIR`ectory of the switch, or its name")
	f.StringVar(&raw.name, "name", "", "`NAME` of the switch: its directory's name in the default place (default \"default\")")
	f.StringArrayVarP(&o.ports, "port", "p", nil, "plug in `SPEC`: kind:address[,key=value]...; may be repeated")
	f.StringArrayVarP(&o.taps, "tap", "t", nil, "plug in TAP device `NAME`, which is --port tap:NAME; may be repeated")
	f.StringVar(&o.defaults, "port-default", "", "`KEYS` for ports whose spec does not set them, such as vlan=10,isolated=on")
	f.StringVarP(&raw.mode, "mode", "m", "0600", "octal `MODE` of the doors; the directory follows it")
	f.StringVarP(&raw.group, "group", "g", "", "`GROUP` of the directory and the doors")
	f.StringVar(&raw.mgmtGroup, "mgmtgroup", "", "`GROUP` whose members may change the switch, besides its user and root")
	f.BoolVarP(&o.hub, "hub", "x", false, "send every frame to every port, as a hub does")
	o.stp.flags(f)
	f.DurationVar(&o.ageing, "ageing", 300*time.Second, "forget addresses not seen for this `TIME`")
	f.IntVar(&o.fdbSize, "fdb-size", 65536, "most addresses to remember")
	f.IntVar(&o.workers, "workers", 0, "threads that carry frames; 0: half as many as CPUs, at most 8")
	f.DurationVar(&o.spin, "spin", 75*time.Microsecond, "look for frames this `TIME` before sleeping, while they come that fast; 0: never")
	o.tcpFlags(f)
	o.configFlags(f)
	o.vdeFlags(f, &raw.vde)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "log warnings and errors only, and print no welcome")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	f.BoolVarP(&o.version, "version", "V", false, "print the version")
	f.BoolVarP(&raw.help, "help", "h", false, "print this")
	return f
}

// resolve finds what was named, and checks what was typed.
func (o *options) resolve(raw rawOptions) (err error) {
	switch {
	case raw.dir != "" && raw.name != "":
		return fmt.Errorf("--sock and --name both say where the switch is; give one")
	case raw.name != "":
		o.dir, err = api.NamedDir(raw.name)
	default:
		o.dir, err = api.ResolveDir(raw.dir)
	}
	if err != nil {
		return err
	}
	if o.group, err = lookupGroup(raw.group); err != nil {
		return err
	}
	if o.mgmtGroup, err = lookupGroup(raw.mgmtGroup); err != nil {
		return err
	}
	if err := o.checkTCP(); err != nil {
		return err
	}
	if err := o.stp.check(); err != nil {
		return err
	}
	if o.fdbSize < 1 || o.fdbSize > vswitch.MaxFDBSize {
		return fmt.Errorf("--fdb-size %d: want 1 to %d", o.fdbSize, vswitch.MaxFDBSize)
	}
	if vswitch.CheckAgeing(o.ageing) != nil {
		return fmt.Errorf("--ageing %v: want whole seconds from 1s to 1000000s", o.ageing)
	}
	if o.spin < 0 || o.spin > maxSpin {
		return fmt.Errorf("--spin %v: want 0 to %v", o.spin, maxSpin)
	}
	if o.workers < 0 || o.workers > config.MaxWorkers {
		return fmt.Errorf("--workers %d: want 0 (half as many as CPUs) to %d", o.workers, config.MaxWorkers)
	}
	m, err := strconv.ParseUint(raw.mode, 8, 32)
	if err != nil || m > 0o777 {
		return fmt.Errorf("--mode %s: want an octal file mode such as 0660", raw.mode)
	}
	o.mode = fs.FileMode(m)
	return nil
}

// lookupGroup finds a group by name or number.
func lookupGroup(name string) (gid int, err error) {
	if name == "" {
		return -1, nil
	}
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("group %q: %w (make it with: groupadd %s)", name, err, name)
	}
	return strconv.Atoi(g.Gid)
}

func helpText(f *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString(`vswitch - an Ethernet switch for virtual machines

  vswitch                                 a switch in the default directory
  vswitch -s /tmp/lab                     in a directory of your choice
  vswitch --port stream:tcp:0.0.0.0:5558  also for QEMUs on other hosts
  vswitch --port stream:unix:/tmp/a,vlan=10 --port stream:unix:/tmp/b,tagged=10+20
  vswitch -t tap0                         also for this host, by TAP device tap0
  vswitch --config lab.toml               all of it from a file; SIGHUP or vnetctl reload reads it again
  vswitch plug sw1 = ssh host vswitch plug sw2   a cable between two switches: vswitch plug --help

Called vde_switch, it is that: its options, its defaults, its console on standard
input. Options of vde_switch work here too, with one dash or two.

Plug QEMU in with
  -netdev stream,id=n0,addr.type=unix,addr.path=DIR/stream -device virtio-net-pci,netdev=n0
and look at the switch with vnetctl -s DIR.

Options
`)
	b.WriteString(f.FlagUsages())
	b.WriteString("\nPort kinds\n")
	for _, k := range kinds {
		for line := range strings.Lines(k.Help + "\n") {
			b.WriteString("  " + line)
		}
	}
	b.WriteString(`
Keys of every kind
  id=N            port number, 1 to 32767; without it the lowest that is free
  name=S          port name; with a number or a name, a listening port takes one client
  vlan=V          VLAN of frames without a tag (1); the port is then a member of V only
  native=tagged   frames of that VLAN leave with a tag; none: frames without a tag are dropped; untagged
  tagged=V+V-V    VLANs that go in and out with a tag; all (the default without vlan=), none
  transparent=on  tags are payload, and spanning tree, LACP and LLDP frames pass
  isolated=on     no frames from and to other isolated ports
  mtu=N           largest payload that leaves here, 68 to 65535 bytes (65535)
  impair=WHAT     bad cable on purpose: delay:20ms+jitter:5ms+in-loss:1%+out-rate:10M (docs/cables.md)
  maclimit=N      most addresses learned here; 0: no limit of its own
  allowmac=M+M    only frames with these source addresses come in, up to 8; any
  mirror=P:in+P   only shows copies of what ports P carry: in, out or both; all
  allowuser=U     only this user, and root, may claim the port (kind vde)
  allowgroup=G    and the members of this group
  down=on         carry nothing
  save=off        vnetctl config save leaves the port out, and reload leaves it alone
  edge=E          leads to stations only: on, off, or auto (no bridge is heard); with --stp
  cost=N          of the way through it to the root; 0: 20000, to a vde_switch 20000000
  priority=N      16 to 240 in steps of 16, the lowest is chosen; 0: 128
  bpduguard=on    a bridge behind this port shuts it
  rootguard=on    the way to the root is never through this port
  storm=N         most frames a second to all; or broadcast:N+multicast:N+unknown:N; off
`)
	return b.String()
}
