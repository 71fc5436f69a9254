// Package vmfile reads vmctl's VMFile.kdl.
//
// A VMFile has one or more "vm NAME { ... }". Each becomes a VM with one network
// card, which is what "--net" would say. A network's settings may stand in the
// node's properties, as vmctl reads them, or in a block, as its book shows them:
//
//	network "tap" bridge="br0"
//	network "tap" { bridge "br0" }
//
// What the file gets wrong is an error with its line. An element that is not
// known is a warning, and so is one that vmrun knows and does not do, if the VM
// is still the one that was asked for; if it is not, it is an error.
package vmfile

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"vnetkit/cmd/vmrun/kdl"
	"vnetkit/cmd/vmrun/netdev"
)

// VM is one of a file.
type VM struct {
	Name     string
	Image    string // its disk
	CPUs     int
	Memory   int64 // MiB
	Net      netdev.Net
	Seed     *Seed    // nil: the file has no cloud-init for it
	Warnings []string // each with its line

	line int
	dirs Dirs
}

// Seed is what cloud-init is to find.
type Seed struct {
	Hostname string // "": the VM's name
	UserData string // file, as it is
	SSHKey   string // file with a public key, which User may log in with
	User     string
}

// Dirs is where paths of a file begin that are not absolute.
type Dirs struct {
	File string // the file's own directory
	Home string // of "~"
}

func lineError(line int, format string, args ...any) error {
	return &netdev.UsageError{What: fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...), Cure: "correct the file; docs/vmrun.md lists what is understood"}
}

func (v *VM) warn(line int, format string, args ...any) {
	v.Warnings = append(v.Warnings, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

// path is one that the file names.
func (v *VM) path(text string) string {
	rest, home := strings.CutPrefix(text, "~/")
	switch {
	case text == "~" || home:
		return filepath.Join(v.dirs.Home, strings.TrimPrefix(rest, "~"))
	case filepath.IsAbs(text):
		return text
	}
	return filepath.Join(v.dirs.File, text)
}

// Read returns all VMs of a file. Its warnings are about none of them.
func Read(text []byte, dirs Dirs) (vms []VM, warnings []string, err error) {
	nodes, err := kdl.Parse(text)
	var bad *kdl.Error
	if errors.As(err, &bad) {
		return nil, nil, &netdev.UsageError{What: bad.Error(), Cure: "correct the file: it is no KDL (kdl.dev) as it is"}
	}
	lines := map[string]int{}
	for _, n := range nodes {
		if n.Name != "vm" {
			warnings = append(warnings, unknown(n))
			continue
		}
		v, err := read(n, dirs)
		if err != nil {
			return nil, nil, err
		}
		if first := lines[v.Name]; first > 0 {
			return nil, nil, lineError(n.Line, "a second vm %q; the first is on line %d", v.Name, first)
		}
		lines[v.Name] = n.Line
		vms = append(vms, v)
	}
	if len(vms) == 0 {
		return nil, nil, lineError(1, `there is no vm "NAME" { ... } in it`)
	}
	return vms, warnings, nil
}

// Pick is the VM of a name; without a name it is the only one.
func Pick(vms []VM, name string) (VM, error) {
	var names []string
	for _, v := range vms {
		if v.Name == name || name == "" && len(vms) == 1 {
			return v, nil
		}
		names = append(names, v.Name)
	}
	what := fmt.Sprintf("there is no vm %q in it", name)
	if name == "" {
		what = fmt.Sprintf("there are %d VMs in it, and vmrun starts one at a time", len(vms))
	}
	return VM{}, &netdev.UsageError{What: what, Cure: "give --name and one of: " + strings.Join(names, " ")}
}

func unknown(n *kdl.Node) string {
	return fmt.Sprintf("line %d: %s is not known, and passed over", n.Line, n.Name)
}

// read makes a VM of its node.
func read(n *kdl.Node, dirs Dirs) (VM, error) {
	v := VM{CPUs: 1, Memory: 1024, line: n.Line, dirs: dirs}
	var err error
	if v.Name, err = text(n); err != nil {
		return v, err
	}
	if len(n.Children) == 0 {
		return v, lineError(n.Line, "vm %q has nothing in it; it needs an image at least", v.Name)
	}
	v.extras(n, 1)
	v.Net, _ = netdev.ParseNet("user") // what vmctl has where no network is said
	seen := map[string]bool{}
	for _, c := range n.Children {
		if seen[c.Name] && c.Name != "provision" {
			v.warn(c.Line, "a second %s is passed over, as by vmctl", c.Name)
			continue
		}
		seen[c.Name] = true
		if err := v.element(c); err != nil {
			return v, err
		}
	}
	switch {
	case seen["image"] && seen["image-url"]:
		return v, lineError(n.Line, "vm %q has an image and an image-url; it can have one of them", v.Name)
	case !seen["image"]:
		return v, lineError(n.Line, "vm %q has no image", v.Name)
	}
	if v.Seed != nil {
		v.Seed.User = "vm"
		if user := n.Child("ssh").Child("user"); user != nil {
			v.Seed.User, err = text(user)
		}
	}
	return v, err
}

// element understands one child of a vm.
func (v *VM) element(c *kdl.Node) (err error) {
	switch c.Name {
	case "image":
		v.Image, err = v.file(c)
	case "image-url":
		return lineError(c.Line, "image-url: vmrun fetches no images; fetch it, and say image and its path")
	case "vcpus":
		var n int64
		n, err = v.number(c, 1024)
		v.CPUs = int(n)
	case "memory":
		v.Memory, err = v.number(c, 1<<30)
	case "disk":
		var n int64
		n, err = v.number(c, 1<<30)
		v.warn(c.Line, "disk %d: vmrun takes the image as large as it is; qemu-img resize makes it larger", n)
	case "network":
		v.Net, err = v.network(c)
	case "cloud-init":
		err = v.cloudInit(c)
	case "ssh":
		err = v.ssh(c)
	case "provision":
		v.warn(c.Line, "provision: vmrun does not do it; use cloud-init, or, when the VM runs, vmrun ssh %s", v.Name)
	default:
		v.Warnings = append(v.Warnings, unknown(c))
	}
	return err
}

// text is the string that a node has for its first argument.
func text(n *kdl.Node) (string, error) {
	if len(n.Args) == 0 || n.Args[0].Kind != kdl.String || n.Args[0].Text == "" || strings.ContainsRune(n.Args[0].Text, 0) {
		return "", lineError(n.Line, `%s: want a text behind it, as in %s "..."`, n.Name, n.Name)
	}
	return n.Args[0].Text, nil
}

// file is the path that a node has for its only argument.
func (v *VM) file(n *kdl.Node) (string, error) {
	v.extras(n, 1)
	v.strangers(n)
	path, err := text(n)
	return v.path(path), err
}

// number is a whole one from 1.
func (v *VM) number(n *kdl.Node, most int64) (int64, error) {
	v.extras(n, 1)
	v.strangers(n)
	if len(n.Args) == 0 {
		return 0, lineError(n.Line, "%s: want a number behind it", n.Name)
	}
	i, err := n.Args[0].Int()
	if err == nil && (i < 1 || i > most) {
		err = fmt.Errorf("%d is not from 1 to %d", i, most)
	}
	if err != nil {
		return 0, lineError(n.Line, "%s: %v", n.Name, err)
	}
	return i, nil
}

// extras warns of arguments and properties that mean nothing.
func (v *VM) extras(n *kdl.Node, args int, props ...string) {
	for _, a := range n.Args[min(args, len(n.Args)):] {
		v.warn(a.Line, "%s %s is not known, and passed over", n.Name, a.Text)
	}
	for _, key := range slices.Sorted(maps.Keys(n.Props)) {
		if !slices.Contains(props, key) {
			v.warn(n.Props[key].Line, "%s %s= is not known, and passed over", n.Name, key)
		}
	}
}

// strangers warns of children that mean nothing.
func (v *VM) strangers(n *kdl.Node, known ...string) {
	for _, c := range n.Children {
		if !slices.Contains(known, c.Name) {
			v.Warnings = append(v.Warnings, unknown(c))
		}
	}
}

// cloudInit understands what the guest is to be told at its first start.
func (v *VM) cloudInit(n *kdl.Node) error {
	v.extras(n, 0)
	v.strangers(n, "hostname", "ssh-key", "user-data")
	v.Seed = &Seed{}
	for _, p := range []struct {
		name string
		to   *string
		read func(*kdl.Node) (string, error)
	}{{"hostname", &v.Seed.Hostname, text}, {"ssh-key", &v.Seed.SSHKey, v.file}, {"user-data", &v.Seed.UserData, v.file}} {
		if c := n.Child(p.name); c != nil {
			var err error
			if *p.to, err = p.read(c); err != nil {
				return err
			}
		}
	}
	switch {
	case v.Seed.UserData != "" && v.Seed.SSHKey != "":
		v.warn(n.Line, "cloud-init: with user-data the ssh-key is passed over, as by vmctl")
		v.Seed.SSHKey = ""
	case v.Seed.UserData == "" && v.Seed.SSHKey == "":
		return lineError(n.Line, "cloud-init: vmrun makes no keys; give ssh-key and a public key's path, or user-data")
	}
	return nil
}

// ssh understands how vmctl would log in.
func (v *VM) ssh(n *kdl.Node) error {
	v.extras(n, 0)
	v.strangers(n, "user", "private-key")
	options := ""
	if c := n.Child("private-key"); c != nil {
		path, err := v.file(c)
		if err != nil {
			return err
		}
		options += " -i " + path
	}
	if c := n.Child("user"); c != nil {
		user, err := text(c)
		if err != nil {
			return err
		}
		options += " -l " + user
	}
	if options != "" {
		v.warn(n.Line, "ssh: vmrun does not keep it; say it each time: vmrun ssh %s%s", v.Name, options)
	}
	return nil
}
