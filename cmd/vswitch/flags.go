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
)

// options is the command line.
type options struct {
	help    string // what to print and leave
	version bool

	dir       string
	ports     []string
	defaults  string
	mode      fs.FileMode
	group     int // gid of the directory and its doors; -1: the process's
	mgmtGroup int // gid that may change the switch; -1: none
	hub       bool
	ageing    time.Duration
	fdbSize   int
	workers   int
	spin      time.Duration
	metrics   string // address for scrapes; "": none
	web       string // address of the web page; "": none
	webWrite  bool   // the web page may change the switch
	config    configOptions
	verbose   bool
	quiet     bool
}

const maxSpin = config.MaxSpin

func parseFlags(args []string) (options, error) {
	var o options
	var raw rawOptions
	f := o.flags(&raw)
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
	if err := o.readConfig(f, args); err != nil {
		return o, err
	}
	if err := o.resolve(raw); err != nil {
		return o, err
	}
	o.settle(f)
	return o, nil
}

// rawOptions are options as they were typed.
type rawOptions struct {
	dir, name, mode, group, mgmtGroup string
	help                              bool
}

// flags makes the flags that fill in o and raw.
func (o *options) flags(raw *rawOptions) *pflag.FlagSet {
	f := pflag.NewFlagSet("vswitch", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVarP(&raw.dir, "sock", "s", "", "`DIR`ectory of the switch, or its name")
	f.StringVar(&raw.name, "name", "", "`NAME` of the switch: its directory's name in the default place (default \"default\")")
	f.StringArrayVarP(&o.ports, "port", "p", nil, "plug in `SPEC`: kind:address[,key=value]...; may be repeated")
	f.StringVar(&o.defaults, "port-default", "", "`KEYS` for ports whose spec does not set them, such as vlan=10,isolated=on")
	f.StringVarP(&raw.mode, "mode", "m", "0600", "octal `MODE` of the doors; the directory follows it")
	f.StringVarP(&raw.group, "group", "g", "", "`GROUP` of the directory and the doors")
	f.StringVar(&raw.mgmtGroup, "mgmtgroup", "", "`GROUP` whose members may change the switch, besides its user and root")
	f.BoolVar(&o.hub, "hub", false, "send every frame to every port, as a hub does")
	f.DurationVar(&o.ageing, "ageing", 300*time.Second, "forget addresses not seen for this `TIME`")
	f.IntVar(&o.fdbSize, "fdb-size", 65536, "most addresses to remember")
	f.IntVar(&o.workers, "workers", 0, "threads that carry frames; 0: half as many as CPUs, at most 8")
	f.DurationVar(&o.spin, "spin", 50*time.Microsecond, "look for frames this `TIME` before sleeping, while they come that fast; 0: never")
	o.tcpFlags(f)
	o.configFlags(f)
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
	if o.spin < 0 || o.spin > maxSpin {
		return fmt.Errorf("--spin %v: want 0 to %v", o.spin, maxSpin)
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
  vswitch --config lab.toml               all of it from a file; SIGHUP or vnetctl reload reads it again
  vswitch plug sw1 = ssh host vswitch plug sw2   a cable between two switches: vswitch plug --help

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
  tagged=V+V-V    VLANs that go in and out with a tag; all (the default without vlan=), none
  transparent=on  tags are payload, and spanning tree, LACP and LLDP frames pass
  isolated=on     no frames from and to other isolated ports
  mtu=N           largest payload that leaves here, 68 to 65535 bytes (65535)
  impair=WHAT     bad cable on purpose: delay:20ms+jitter:5ms+in-loss:1%+out-rate:10M (docs/cables.md)
  maclimit=N      most addresses learned here; 0: no limit of its own
  mirror=P:in+P   only shows copies of what ports P carry: in, out or both; all
  down=on         carry nothing
`)
	return b.String()
}
