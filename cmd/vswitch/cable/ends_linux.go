package cable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Doors of a switch that a cable plugs into, best first.
const (
	streamDoor = api.StreamName
	vdeDoor    = "ctl"
)

// stdioName is what people call stdin and stdout.
const stdioName = "stdio"

// vdeKind is the port kind that plugs into a VDE door as a client.
const vdeKind = "vde"

// vdeDefaults are where a vde_switch is if nobody said otherwise.
var vdeDefaults = []string{"/run/vde.ctl", "/var/run/vde.ctl", "/tmp/vde.ctl"}

// openEnd opens what o names.
func (c *cable) openEnd(ctx context.Context, o endOptions) (*end, error) {
	if o.name == "-" {
		s, err := stdio()
		if err != nil {
			return nil, err
		}
		return &end{name: stdioName, link: s, max: c.opt.max}, nil
	}
	spec, name, err := c.specOf(o)
	if err != nil {
		return nil, err
	}
	l, err := c.plugIn(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &end{name: name, link: l, max: frame.MaxLen}, nil
}

// numbered is DIR[N], a switch and the port that is wanted there.
var numbered = regexp.MustCompile(`^(.*)\[([0-9]*)\]$`)

// specOf finds the port spec that o means, and a name for people.
func (c *cable) specOf(o endOptions) (spec link.Spec, name string, err error) {
	text := o.name
	if module, rest, ok := strings.Cut(text, "://"); ok {
		switch {
		case module == "vde":
			text = rest
		case c.hasKind(module):
			text = module + ":" + rest
		default:
			return spec, "", usagef("%s: no plug of kind %q here; known kinds: %s", o.name, module, c.kindNames())
		}
	}
	if kind, _, ok := strings.Cut(text, ":"); ok && c.hasKind(kind) {
		if spec, err = link.ParseSpec(text); err != nil {
			return spec, "", usageError{err}
		}
		return spec, text, nil
	}
	if m := numbered.FindStringSubmatch(text); m != nil {
		text = m[1]
		if m[2] != "" {
			if o.port, err = strconv.Atoi(m[2]); err != nil || o.port > 32767 {
				return spec, "", usagef("%s: port %s: want 0 to 32767", o.name, m[2])
			}
		}
	}
	dir, err := findSwitch(text)
	if err != nil {
		return spec, "", err
	}
	spec, err = doorOf(dir, o)
	return spec, filepath.Base(dir), err
}

func (c *cable) hasKind(name string) bool {
	return slices.ContainsFunc(c.kinds, func(k link.Kind) bool { return k.Name == name })
}

func (c *cable) kindNames() string {
	var names []string
	for _, k := range c.kinds {
		names = append(names, k.Name)
	}
	return strings.Join(names, " ")
}

// findSwitch finds the directory of a switch, of vswitch or vde_switch.
func findSwitch(text string) (string, error) {
	dir, err := api.FindDir(text)
	if err != nil {
		return "", usageError{err}
	}
	if text != "" {
		return dir, nil
	}
	for _, d := range append([]string{dir}, vdeDefaults...) {
		if _, err := os.Stat(d); err == nil {
			return d, nil
		}
	}
	return dir, nil
}

// doorOf chooses a door of the switch in dir.
func doorOf(dir string, o endOptions) (link.Spec, error) {
	stream, vde := filepath.Join(dir, streamDoor), filepath.Join(dir, vdeDoor)
	_, streamErr := os.Lstat(stream)
	_, vdeErr := os.Lstat(vde)
	describes := o.descr != "" && vdeErr == nil
	switch {
	case streamErr == nil && !o.wantsVDE() && !describes:
		return link.Spec{Kind: "stream", Addr: "unix:" + stream, Opts: []link.Opt{{Key: "connect", Value: "on"}}}, nil
	case vdeErr == nil:
		return vdeSpec(dir, o), nil
	case streamErr == nil:
		return link.Spec{}, usagef("%s: a port number, group or mode can be asked for at a VDE door only, and this switch has none", dir)
	}
	for _, err := range []error{streamErr, vdeErr} {
		if errors.Is(err, fs.ErrPermission) {
			return link.Spec{}, notPermitted(stream)
		}
	}
	e := &api.Error{Code: api.ErrUnreachable, Hint: "start a switch there: vswitch -s " + dir + "; or see which ones run: vnetctl list"}
	e.Message = fmt.Sprintf("directory %s has neither a %s nor a %s socket in it, so no switch runs there", dir, streamDoor, vdeDoor)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		e.Message = "there is no directory " + dir + ", so no switch runs there"
	}
	return link.Spec{}, e
}

// vdeSpec is the spec of a VDE client.
func vdeSpec(dir string, o endOptions) link.Spec {
	s := link.Spec{Kind: vdeKind, Addr: dir}
	if o.port >= 0 {
		s.Opts = append(s.Opts, link.Opt{Key: "port", Value: strconv.Itoa(o.port)})
	}
	for _, opt := range []link.Opt{{Key: "group", Value: o.group}, {Key: "mode", Value: o.mode}, {Key: "descr", Value: o.descr}} {
		if opt.Value != "" {
			s.Opts = append(s.Opts, opt)
		}
	}
	return s
}

// plugIn opens a link of spec, now or not at all.
func (c *cable) plugIn(ctx context.Context, spec link.Spec) (link.Link, error) {
	i := slices.IndexFunc(c.kinds, func(k link.Kind) bool { return k.Name == spec.Kind })
	if i < 0 {
		return nil, usagef("%v: no plug of kind %q here; known kinds: %s", spec, spec.Kind, c.kindNames())
	}
	kind := c.kinds[i]
	if kind.Check != nil {
		if listening, err := kind.Check(spec); err != nil {
			return nil, usageError{err}
		} else if listening {
			return nil, usagef("%v listens, and a cable's ends plug in: give the address of something that listens already (a stream wants connect=on)", spec)
		}
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	src, err := kind.Open(ctx, spec, link.Options{Retrying: func(err error) {
		if err != nil {
			giveUp(err)
		}
	}})
	if err != nil {
		return nil, c.explain(spec, err)
	}
	l, err := src.Accept(ctx)
	if why := context.Cause(ctx); err != nil && why != nil {
		err = why
	}
	if e := src.Close(); err == nil && e != nil {
		_ = l.Close()
		err = e
	}
	if err != nil {
		return nil, c.explain(spec, err)
	}
	return l, nil
}

// explain says why spec could not be plugged into.
func (c *cable) explain(spec link.Spec, err error) error {
	_, path, _ := strings.Cut(spec.Addr, "unix:")
	e := &api.Error{Code: api.ErrUnreachable, Hint: "see which switches run: vnetctl list"}
	switch {
	case errors.Is(err, link.ErrSpec):
		return usageError{err}
	case errors.Is(err, fs.ErrPermission) && path != "":
		return notPermitted(path)
	case errors.Is(err, fs.ErrPermission):
		return &api.Error{Code: api.ErrForbidden, Message: fmt.Sprintf("plug into %v: %v", spec, err), Hint: "repeat the command with: sudo"}
	case errors.Is(err, syscall.ECONNREFUSED) && path != "":
		e.Message = "nobody listens on " + path + ": its switch was killed and left the socket behind"
		return e
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("plug into %v: %v", spec, err)
		return e
	}
	return fmt.Errorf("plug into %v: %w", spec, err)
}

// notPermitted says who may open the door, as far as can be seen.
func notPermitted(path string) error {
	me := "uid " + strconv.Itoa(os.Geteuid())
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	e := &api.Error{Code: api.ErrForbidden, Message: fmt.Sprintf("user %s may not open %s", me, path), Hint: "repeat the command with: sudo"}
	for at := path; ; at = filepath.Dir(at) {
		fi, err := os.Stat(at)
		if err != nil && at != filepath.Dir(at) {
			continue
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && err == nil {
			e.Message += fmt.Sprintf(": %s belongs to uid %d, gid %d and has mode %04o", at, st.Uid, st.Gid, fi.Mode().Perm())
			if g, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil && st.Gid != 0 && fi.Mode().Perm()&0o070 != 0 {
				e.Hint = fmt.Sprintf("join the group, then log in again: sudo usermod -aG %s %s; or repeat the command with: sudo", g.Name, me)
			}
		}
		return e
	}
}
