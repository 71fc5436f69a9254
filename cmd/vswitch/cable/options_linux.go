package cable

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// options is the command line of vswitch plug.
type options struct {
	help    bool
	a, b    endOptions
	command []string // in place of b

	daemon  bool
	pidFile string
	syslog  bool
	verbose bool
	max     int // longest frame on a byte stream
}

// endOptions says what one end is.
type endOptions struct {
	name  string // "-": stdin and stdout; "": the default switch
	port  int    // of a switch with a VDE door; -1: any
	group string // of the client's socket
	mode  string // of the client's socket, octal
	descr string
}

// wantsVDE tells whether only a VDE door can do what was asked for.
func (e endOptions) wantsVDE() bool { return e.port >= 0 || e.group != "" || e.mode != "" }

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func parseOptions(args []string) (o options, err error) {
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return o, usageError{err}
	}
	if o.help {
		return o, nil
	}
	rest := f.Args()
	if i := slices.Index(rest, "="); i >= 0 {
		rest, o.command = rest[:i], rest[i+1:]
		if len(o.command) == 0 {
			return o, usagef("a command must follow the =")
		}
	}
	switch {
	case len(rest) > 2:
		return o, usagef("unexpected argument %q: a cable has two ends (options come before them)", rest[2])
	case len(rest) == 2 && o.command != nil:
		return o, usagef("%s and a command cannot both be the second end", rest[1])
	}
	o.b.name = "-"
	if len(rest) > 0 {
		o.a.name = rest[0]
	}
	if len(rest) > 1 {
		o.b.name = rest[1]
	}
	return o, o.check()
}

func (o *options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("vswitch plug", pflag.ContinueOnError)
	f.SortFlags = false
	f.SetInterspersed(false) // what follows = has options of its own
	f.Usage = func() {}
	f.IntVarP(&o.a.port, "port", "p", -1, "port `N` of a vde_switch that A plugs into")
	f.StringVarP(&o.a.group, "group", "g", "", "`GROUP` of A's socket, for a vde_switch")
	f.StringVarP(&o.a.mode, "mode", "m", "", "octal `MODE` of A's socket, for a vde_switch")
	f.StringVarP(&o.a.descr, "descr", "D", "", "`TEXT` that describes the cable, where there is a VDE door")
	f.IntVar(&o.b.port, "port2", -1, "as --port, for B")
	f.StringVarP(&o.b.group, "group2", "G", "", "as --group, for B")
	f.StringVarP(&o.b.mode, "mode2", "M", "", "as --mode, for B")
	f.IntVar(&o.max, "max", vdeMax, "longest frame in `BYTES` to send to stdout or a command, up to 65535; vde_plug takes no more than 9234")
	f.BoolVarP(&o.daemon, "daemon", "d", false, "go into the background once the cable is plugged in")
	f.StringVarP(&o.pidFile, "pidfile", "P", "", "write the process number to `FILE`, and remove it at the end")
	f.BoolVarP(&o.syslog, "log", "l", false, "tell the system log when the cable is plugged in and when it ends")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say when the cable is plugged in, and at its end what it carried")
	f.BoolVarP(&o.help, "help", "h", false, "print this")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "mod", "mod2": // as vde_plug has them
			name = strings.Replace(name, "mod", "mode", 1)
		}
		return pflag.NormalizedName(name)
	})
	return f
}

// check looks at what can be wrong before anything is touched.
func (o *options) check() error {
	if o.b.descr == "" {
		o.b.descr = o.a.descr
	}
	for _, e := range []*endOptions{&o.a, &o.b} {
		if e.port < -1 || e.port > 32767 {
			return usagef("port %d: want 0 to 32767", e.port)
		}
		if m, err := strconv.ParseUint(e.mode, 8, 32); e.mode != "" && (err != nil || m > 0o777) {
			return usagef("mode %s: want an octal file mode such as 0660", e.mode)
		}
		if e.group != "" {
			if _, err := user.LookupGroup(e.group); err != nil {
				if _, numErr := strconv.ParseUint(e.group, 10, 31); numErr != nil {
					return usagef("group %q: %w (make it with: groupadd %s)", e.group, err, e.group)
				}
			}
		}
	}
	switch stdio := o.a.name == "-" || o.b.name == "-" && o.command == nil; {
	case o.max < 64 || o.max > maxWire:
		return usagef("--max %d: want 64 to %d bytes", o.max, maxWire)
	case o.a.name == "-" && o.b.name == "-" && o.command == nil:
		return usagef("both ends are stdin and stdout: name a switch")
	case o.daemon && stdio:
		return usagef("--daemon: a process in the background has no stdin and stdout; name two switches, or = and a command")
	}
	return nil
}

// isUsage tells whether err is a mistake of whoever typed the command.
func isUsage(err error) bool {
	var u usageError
	return errors.As(err, &u)
}

// Help is what vswitch plug --help prints.
func Help() string {
	var o options
	return `vswitch-plug - a cable between two Ethernet switches

  vswitch plug sw1 sw2                            two switches on this host
  vswitch plug sw1 = ssh host vswitch plug sw2    on two hosts
  vswitch plug sw1 = ssh host vde_plug /tmp/sw2   with a vde_switch over there
  dpipe vde_plug /tmp/sw1 = vswitch plug sw2      as vde_plug is used
  vswitch plug -d -P /run/cable.pid sw1 tap:tap0  in the background

vswitch plug [OPTIONS] [A [B | = COMMAND...]] joins A and B. Each is the name or
the directory of a switch, vswitch or vde_switch; a port spec such as
tap:tap0; or - for frames on stdin and stdout, which B is when it is left
out. Without A it is the default switch. COMMAND's stdin and stdout are B.

Options
` + o.flags().FlagUsages() + `
Ends
  NAME, DIR         a switch; DIR[N] is port N of a vde_switch, vde://DIR is DIR
  KIND:ADDRESS,...  what vswitch --port takes, if it does not listen
  -                 stdin and stdout, each frame behind its length (16 bits, big-endian)

Exit codes
  0  ended in order: SIGTERM or SIGINT, the end of stdin, a command that succeeded
  1  an end failed or left: a switch that stopped, a command that failed, no frames
  2  usage
  3  not permitted
  4  there is no such switch, or nobody answers

SIGUSR1 prints what was carried and what was dropped. Dropped frames are also
printed at the end.
`
}
