package main

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/console"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// vdeOptions are those that vde_switch has and we would not need.
type vdeOptions struct {
	is       bool // we are called vde_switch
	daemon   bool
	noStdin  bool
	pidfile  string      // absolute; "": none
	rcfile   string      // absolute; "": look for one, if we are vde_switch
	mgmt     string      // the console's socket, absolute
	mgmtMode fs.FileMode // of it
	dirMode  fs.FileMode // of the switch's directory
	numPorts int         // highest port number
	fstp     bool
	mac      frame.MAC
	priority int
	hashSize int // at least so many addresses; 0: not given
}

// rawVDE are those as they were typed.
type rawVDE struct{ mgmtMode, dirMode, mac, debugClients string }

const (
	vdeName     = "vde_switch"
	vdePorts    = 32     // vde_switch's default
	vdePriority = 0x8000 // IEEE 802.1D-2004, table 17-2
	consoleName = "mgmt"
)

// vdeFlags are the flags for these options. -t has none: it becomes --port tap:.
func (o *options) vdeFlags(f *pflag.FlagSet, raw *rawVDE) {
	f.BoolVarP(&o.vde.daemon, "daemon", "d", false, "go to the background once everything is open, and log to syslog")
	f.StringVar(&o.vde.pidfile, "pidfile", "", "write the process number to `FILE`; -p FILE works too if it has a slash in it")
	f.StringVarP(&o.vde.mgmt, "mgmt", "M", "", "`SOCKET` of the VDE console (default DIR/mgmt)")
	f.StringVar(&raw.mgmtMode, "mgmtmode", "", "octal `MODE` of the console's socket (default 0600, and 0660 with --mgmtgroup)")
	f.StringVarP(&o.vde.rcfile, "rcfile", "f", "", "carry out the console commands in `FILE` at the start")
	f.StringVar(&raw.dirMode, "dirmode", "", "octal `MODE` of the directory (default: follows --mode)")
	f.IntVarP(&o.vde.numPorts, "numports", "n", vswitch.MaxPorts, "highest port `NUMBER`")
	f.BoolVarP(&o.vde.fstp, "fstp", "F", false, "--stp fstp")
	f.StringVar(&raw.mac, "macaddr", "", "`ADDRESS` of the switch in a spanning tree")
	f.IntVar(&o.vde.priority, "priority", vdePriority, "--stp-priority `PRIORITY`")
	f.IntVar(&o.vde.hashSize, "hashsize", 0, "have room for at least so many addresses")
	f.BoolVar(&o.vde.noStdin, "nostdin", false, "as vde_switch: read no commands from standard input")
	f.StringVarP(&raw.debugClients, "debugclients", "D", "", "`N`; for vde_switch's sake, without effect")
	for _, name := range []string{"nostdin", "debugclients"} {
		_ = f.MarkHidden(name) // it is there
	}
}

// treeVDE makes what vde_switch's options say about the tree what ours say.
func (o *options) treeVDE(f *pflag.FlagSet) error {
	if o.vde.fstp && !f.Changed("stp") {
		if err := f.Set("stp", string(vswitch.STPFSTP)); err != nil {
			return err
		}
	}
	if f.Changed("priority") && !f.Changed("stp-priority") {
		return f.Set("stp-priority", f.Lookup("priority").Value.String())
	}
	return nil
}

// defaultsVDE says what vde_switch would do where the command line is silent.
func (o *options) defaultsVDE(f *pflag.FlagSet, raw *rawOptions) error {
	if raw.vde.dirMode != "" && !f.Changed("mode") {
		m, err := octal("dirmode", raw.vde.dirMode)
		if err != nil {
			return err
		}
		raw.mode = fmt.Sprintf("%04o", m&0o666)
	}
	if f.Changed("hashsize") && o.vde.hashSize == 0 { // which is what it is when nobody asks
		return fmt.Errorf("--hashsize 0: want 1 to %d", vswitch.MaxFDBSize)
	}
	if !o.vde.is {
		return nil
	}
	if !f.Changed("numports") {
		o.vde.numPorts = vdePorts
	}
	switch {
	case raw.dir != "": // a path, never a name
		dir, err := filepath.Abs(raw.dir)
		raw.dir = dir
		return err
	case raw.name != "":
	case os.Geteuid() == 0:
		raw.dir = "/var/run/vde.ctl"
	default:
		raw.dir = "/tmp/vde.ctl"
	}
	return nil
}

// resolveVDE checks what was typed and fills in what was not. It needs what
// resolve finds.
func (o *options) resolveVDE(raw rawOptions) (err error) {
	v := &o.vde
	v.dirMode = dirMode(o.mode)
	switch {
	case raw.vde.dirMode != "":
		if v.dirMode, err = octal("dirmode", raw.vde.dirMode); err != nil {
			return err
		}
	case v.is:
		v.dirMode = vdeDirMode(o.mode)
	}
	v.mgmtMode = 0o600
	if o.mgmtGroup >= 0 && !v.is {
		v.mgmtMode = 0o660
	}
	if raw.vde.mgmtMode != "" {
		if v.mgmtMode, err = octal("mgmtmode", raw.vde.mgmtMode); err != nil {
			return err
		}
	}
	if v.mgmt == "" {
		v.mgmt = filepath.Join(o.dir, consoleName)
	}
	for _, path := range []*string{&v.mgmt, &v.pidfile, &v.rcfile} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := api.CheckSocketPath(v.mgmt); err != nil {
		return fmt.Errorf("--mgmt: %w", err)
	}
	if v.is && !o.verbose {
		o.quiet = true // standard output is the console's
	}
	return v.resolveTree(raw.vde, &o.fdbSize)
}

// resolveTree checks what is about the tree and the tables.
func (v *vdeOptions) resolveTree(raw rawVDE, fdbSize *int) (err error) {
	if v.mac, err = console.ParseMAC(raw.mac); raw.mac != "" && err != nil {
		return fmt.Errorf("--macaddr: %w", err)
	}
	if raw.mac == "" {
		v.mac[1] = 0xff // as vde_switch makes them up
		_, _ = rand.Read(v.mac[2:])
	}
	switch {
	case v.numPorts < 1 || v.numPorts > vswitch.MaxPorts:
		return fmt.Errorf("--numports %d: want 1 to %d", v.numPorts, vswitch.MaxPorts)
	case v.priority < 0 || v.priority > 0xffff:
		return fmt.Errorf("--priority %d: want 0 to 65535", v.priority)
	case v.hashSize < 0 || v.hashSize > vswitch.MaxFDBSize:
		return fmt.Errorf("--hashsize %d: want 1 to %d", v.hashSize, vswitch.MaxFDBSize)
	}
	if v.hashSize > 0 {
		*fdbSize = max(*fdbSize, v.hashSize)
	}
	return nil
}

// octal reads a file mode; a directory's may have the s-bit.
func octal(flag, text string) (fs.FileMode, error) {
	m, err := strconv.ParseUint(text, 8, 32)
	if err != nil || m&^0o2777 != 0 || m > 0o777 && flag != "dirmode" {
		return 0, fmt.Errorf("--%s %s: want an octal file mode such as 0660", flag, text)
	}
	mode := fs.FileMode(m & 0o777)
	if m&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	return mode, nil
}

// vdeDirMode is the mode of vde_switch's directory: who may open the doors may
// also make sockets beside them, which VDE's clients do.
func vdeDirMode(mode fs.FileMode) fs.FileMode {
	dir := mode | 0o600
	for _, who := range []fs.FileMode{0o700, 0o070, 0o007} {
		if mode&0o666&who != 0 || who == 0o700 {
			dir |= 0o111 & who
		}
	}
	return dir | fs.ModeSetgid
}
