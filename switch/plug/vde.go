package plug

import (
	"context"
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"vnetkit/switch/link"
)

// VDE is the port kind "vde": plugs as libvdeplug, QEMU's -netdev vde, vde_plug
// and User-mode Linux make them.
func VDE() link.Kind {
	return link.Kind{
		Name: "vde",
		Help: `vde:DIR[,port=N][,portgroup=S][,mode=0700][,group=G][,descr=TEXT]
                                 plug into the VDE switch in DIR, and again whenever it comes back
vde:DIR,listen=on[,portgroup=S][,mode=0600][,group=G][,queue=1024]
                                 VDE clients plug into DIR/ctl, or into DIR/S; each gets the port it asks for
vde:[,id=N]                      a port for the client that asks for this number`,
		Check: func(spec link.Spec) (bool, error) {
			s, err := parseVDE(spec)
			return s.listen, err
		},
		Open: func(ctx context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			s, err := parseVDE(spec)
			switch {
			case err != nil:
				return nil, err
			case s.dir == "":
				return link.Vacancy("vde:"), nil
			case s.listen:
				return listenVDE(ctx, s, opt)
			}
			return newVDEDialer(s, opt), nil
		},
	}
}

// vdeSpec is a Spec of this kind, understood.
type vdeSpec struct {
	dir       string // absolute; "": no door and no switch, only a number
	listen    bool
	port      int    // dialing: the number to ask for; link.AnyPort: any
	portGroup string // the name of the door beside ctl; "": ctl itself
	mode      int    // of our sockets
	gid       int    // of our sockets; -1: the process's
	queue     int    // frames that may wait for one slow client
	descr     string // dialing: what the other switch is to call us; "": vswitch
}

const (
	vdeDoorName  = "ctl"
	vdeQueue     = 1024
	vdeMaxQueue  = 1 << 16
	vdeMaxNumber = 1<<24 - 1 // what fits into a request
	vdeMaxDescr  = 64        // with user= and pid= behind it, no more than libvdeplug's 128
	// vdeMaxDir is the longest directory: NNNNN.FFFFFF must fit behind it.
	vdeMaxDir = maxPath - len("/12345.123456")
)

func parseVDE(spec link.Spec) (s vdeSpec, err error) {
	s = vdeSpec{port: link.AnyPort, mode: 0o700, gid: -1, queue: vdeQueue}
	if s.listen, err = spec.TakeSwitch("listen", false); err != nil {
		return s, err
	}
	if spec.Addr == "" {
		if s.listen {
			return s, link.Errorf("vde:,listen=on: the directory is missing")
		}
		return s, spec.Done()
	}
	known := []string{"listen", "portgroup", "mode", "group"}
	if s.listen {
		s.mode = 0o600
		known = append(known, "queue")
	} else {
		known = append(known, "port", "descr")
	}
	if err = s.setDir(spec.Addr); err != nil {
		return s, err
	}
	for _, key := range known[1:] {
		if v, ok := spec.Take(key); ok {
			if err := s.set(key, v); err != nil {
				return s, err
			}
		}
	}
	if path := s.door(); len(path) > maxPath {
		return s, link.Errorf("portgroup=%s: the path %s has %d bytes, a socket's may have %d", s.portGroup, path, len(path), maxPath)
	}
	return s, spec.Done(known...)
}

func (s *vdeSpec) setDir(text string) (err error) {
	if strings.ContainsRune(text, 0) {
		return link.Errorf("directory %q: NUL byte", text)
	}
	if s.dir, err = filepath.Abs(text); err != nil {
		return link.Errorf("directory %q: %w", text, err)
	}
	return checkVDEDir(s.dir)
}

// checkVDEDir refuses a directory in which a client's socket could not be named.
func checkVDEDir(dir string) error {
	if len(dir) > vdeMaxDir {
		return link.Errorf("directory %q: the path has %d bytes, a VDE switch's may have %d: the sockets in it have longer names; choose a shorter one", dir, len(dir), vdeMaxDir)
	}
	return nil
}

// set understands one key.
func (s *vdeSpec) set(key, v string) (err error) {
	switch key {
	case "mode":
		m, err := strconv.ParseUint(v, 8, 32)
		if err != nil || m > 0o777 {
			return link.Errorf("mode=%s: want an octal file mode such as 0660", v)
		}
		s.mode = int(m)
	case "group":
		if s.gid, err = groupID(v); err != nil {
			return link.Errorf("group=%s: %w", v, err)
		}
	case "portgroup":
		if err := checkPortGroup(v); err != nil {
			return err
		}
		s.portGroup = v
	case "port":
		if s.port, err = vdeNumber(v, 1, vdeMaxNumber); err != nil {
			return link.Errorf("port=%s: %w", v, err)
		}
	case "descr":
		if v == "" || len(v) > vdeMaxDescr || printable([]byte(v)) != v {
			return link.Errorf("descr=%q: want 1 to %d bytes of printable text", v, vdeMaxDescr)
		}
		s.descr = v
	case "queue":
		if s.queue, err = vdeNumber(v, 1, vdeMaxQueue); err != nil {
			return link.Errorf("queue=%s: %w", v, err)
		}
	}
	return nil
}

// checkPortGroup keeps a door from having the name of something else in the
// directory.
func checkPortGroup(name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "/\x00") || name[0] == '.':
		return link.Errorf("portgroup=%s: want a file name that does not start with a dot", name)
	case name == vdeDoorName || isVDESocketName(name):
		return link.Errorf("portgroup=%s: the switch itself makes sockets of that name", name)
	}
	return nil
}

func vdeNumber(v string, lo, hi int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		return 0, fmt.Errorf("want a number from %d to %d", lo, hi)
	}
	return n, nil
}

// groupID finds a group by name or number.
func groupID(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("%w (make it with: groupadd %s)", err, name)
	}
	return strconv.Atoi(g.Gid)
}

// door is the path that clients connect to.
func (s vdeSpec) door() string {
	if s.portGroup != "" {
		return filepath.Join(s.dir, s.portGroup)
	}
	return filepath.Join(s.dir, vdeDoorName)
}
