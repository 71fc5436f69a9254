package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"vnetkit/mgmt/api"
)

// A VM of ours is a directory, $XDG_STATE_HOME/vnetkit/vms/NAME:
//
//	vm.json   what it is, and which processes it has (vm below)
//	log       what QEMU and the network's helpers have said
//	qmp       QEMU's monitor
//	console   the guest's serial line
//	agent     the way to the QEMU guest agent, if the guest has one
//	upN       script that puts card N's TAP into its bridge
//	seed      cloud-init's disk, while QEMU runs
//	portN     where QEMU listens for the port of card N's switch; with settings portN-HASH of these
//	passtN    where QEMU listens for card N's passt
//	switchN/  the switch that is card N's server
type vm struct {
	Name     string        `json:"name"`
	Created  time.Time     `json:"created"`
	Argv     []string      `json:"argv"`
	Program  string        `json:"program"`
	Nets     []string      `json:"nets"` // as --net says it
	MACs     []string      `json:"macs"` // of each, "" where it is no card of ours
	Links    []string      `json:"links"`
	SSH      int           `json:"ssh_port,omitempty"`
	Scripts  []script      `json:"scripts,omitempty"`  // written before QEMU starts
	Helpers  []process     `json:"helpers,omitempty"`  // run beside QEMU
	Macvtaps []macvtap     `json:"macvtaps,omitempty"` // QEMU's descriptors from 3 on
	Passts   []passt       `json:"passts,omitempty"`   // connected to QEMU
	Ports    []dialledPort `json:"ports,omitempty"`    // of switches that dial QEMU
	After    [][]string    `json:"after,omitempty"`    // commands that are due when QEMU has ended
	QEMU     process       `json:"qemu"`
	Keeper   process       `json:"keeper"`
	dir      string
}

type script struct{ Name, Text string }

// dialledPort is a port of a switch that dials QEMU, or for vhost-user one that
// QEMU dials.
type dialledPort struct {
	Switch string `json:"switch"` // its directory
	Kind   string `json:"kind,omitempty"`
	Path   string `json:"path"` // where QEMU listens, or the port
	Name   string `json:"name,omitempty"`
	Set    string `json:"set,omitempty"` // its settings, as in a port spec
}

// vhostKind is the port kind that shares the guest's memory.
const vhostKind = "vhost-user"

// address is how the port's spec begins, and no other one's.
func (p dialledPort) address() string {
	if p.Kind == vhostKind {
		return vhostKind + ":" + comma(p.Path) + ","
	}
	return "stream:unix:" + comma(p.Path) + ",connect=on,"
}

// specs are the port's, as the switch lists it: with its name, and without where
// another has that. One that listens has a name, or it would be a door.
func (p dialledPort) specs() (list []string) {
	if p.Name != "" {
		list = append(list, strings.TrimSuffix(p.address()+"name="+p.Name+","+p.Set, ","))
	}
	if p.Kind != vhostKind {
		list = append(list, strings.TrimSuffix(p.address()+p.Set, ","))
	}
	return list
}

// passt is one that is the network of a card.
type passt struct {
	process
	Path string `json:"path,omitempty"` // where QEMU listens for it
}

// macvtap is one that is made for a card, and removed when QEMU has ended.
type macvtap struct {
	Parent string `json:"parent"`
	Mode   string `json:"mode,omitempty"`
	MAC    string `json:"mac"`
	Name   string `json:"name,omitempty"` // while it is there
	Index  int    `json:"index,omitempty"`
}

// process is one that is, was or is to be; Began tells it from another that has
// its number later.
type process struct {
	Argv  []string `json:"argv,omitempty"`
	Await string   `json:"await,omitempty"` // the socket that it makes
	PID   int      `json:"pid,omitempty"`
	Began string   `json:"began,omitempty"`
}

// alive tells whether the process runs.
func (p process) alive() bool { return p.PID > 0 && p.Began != "" && began(p.PID) == p.Began }

// thisProcess is the one that runs this.
func thisProcess() process { return process{PID: os.Getpid(), Began: began(os.Getpid())} }

// began is when a process started, in the kernel's ticks; "": there is none, or
// it has ended and nobody has taken notice yet.
func began(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(b, ')') // the name before may have anything in it
	if err != nil || i < 0 {
		return ""
	}
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19] // proc(5): starttime, number 22
}

// checkVMName refuses a name that cannot be a directory's.
func checkVMName(name string) error {
	if name == "" || len(name) > 64 || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }) {
		return &usageError{fmt.Sprintf("%q cannot be a VM's name", name), "give --name with letters and digits, at most 64"}
	}
	return nil
}

// stateDir is where the VMs are.
func stateDir() (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) { // as the specification says
		home, err := os.UserHomeDir()
		if err != nil {
			return "", stateError(fmt.Errorf("find where VMs are kept: %w", err))
		}
		base = filepath.Join(home, ".local/state")
	}
	return filepath.Join(base, "vnetkit/vms"), nil
}

func vmDir(name string) (string, error) {
	base, err := stateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, name)
	return dir, api.CheckSocketPath(filepath.Join(dir, "console"))
}

func (v *vm) path(name string) string { return filepath.Join(v.dir, name) }

// load reads a VM by its name.
func load(name string) (*vm, error) {
	if err := checkVMName(name); err != nil {
		return nil, err
	}
	dir, err := vmDir(name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "vm.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("there is no VM %s", name), Hint: "vmrun list shows those that are there"}
	}
	v := &vm{dir: dir}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err == nil && v.Name != name {
		err = errors.New("it is another VM's")
	}
	if err != nil {
		return nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("read %s: %v", filepath.Join(dir, "vm.json"), err), Hint: "remove the directory if the VM does not run"}
	}
	return v, nil
}

// save writes vm.json, whole or not at all.
func (v *vm) save() error {
	for _, arg := range v.Argv {
		if !utf8.ValidString(arg) { // JSON would change it
			return fmt.Errorf("keep the VM's state: %q is not UTF-8", arg)
		}
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := v.path(".vm.json." + strconv.Itoa(os.Getpid()))
	err = os.WriteFile(tmp, append(b, '\n'), 0o600)
	if err == nil {
		err = os.Rename(tmp, v.path("vm.json"))
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("keep the VM's state: %w", err)
	}
	return nil
}

// stateError says what to do where the VM's directory cannot be written to.
func stateError(err error) error {
	return &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: "VMs are kept in $XDG_STATE_HOME, or ~/.local/state: it needs room, and must be yours; set XDG_STATE_HOME to another directory"}
}

// all lists the VMs by name, and why others cannot be read.
func all() (list []*vm, unread []error, err error) {
	base, err := stateDir()
	if err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(base) // sorted
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(base, e.Name(), "vm.json")); err != nil {
			continue // not one of ours, or not yet
		}
		if v, err := load(e.Name()); err == nil {
			list = append(list, v)
		} else {
			unread = append(unread, err)
		}
	}
	return list, unread, nil
}

// state is one word for what the VM is up to.
func (v *vm) state() string {
	switch {
	case v.QEMU.alive():
		return "running"
	case v.Keeper.alive() && v.QEMU.PID == 0:
		return "starting"
	case v.Keeper.alive():
		return "ending" // it is cleared up after
	}
	return "stopped"
}

// settled loads a VM, and waits while it is being started or cleared up after.
func settled(name string) (*vm, error) {
	for deadline := time.Now().Add(settleTime); ; time.Sleep(10 * time.Millisecond) {
		v, err := load(name)
		if err != nil || v.state() == "running" || v.state() == "stopped" {
			return v, err
		}
		if time.Now().After(deadline) {
			return nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("VM %s is still %s", name, v.state()), Hint: fmt.Sprintf("see %s; process %d is at it", v.path("log"), v.Keeper.PID)}
		}
	}
}

// settleTime is how long a VM may take to start or to be cleared up after.
const settleTime = 2 * time.Minute

// sweep clears up after a VM whose keeper was killed and which has ended.
func (v *vm) sweep() {
	if v.QEMU.alive() || v.Keeper.alive() || v.swept() {
		return
	}
	v.clear()
}

// swept tells whether nothing has been begun that is not cleared up after.
func (v *vm) swept() bool { return v.QEMU.PID == 0 && v.Keeper.PID == 0 }

// clear ends the helpers, runs what is due after QEMU, and removes the sockets.
// It is for who knows that QEMU has ended and the keeper is not at it.
func (v *vm) clear() {
	for i := range v.Helpers {
		end(&v.Helpers[i])
	}
	for i := range v.Passts {
		end(&v.Passts[i].process)
	}
	v.removePorts()
	if err := v.removeMacvtaps(); err != nil {
		fmt.Fprintln(os.Stderr, "vmrun:", err) // the keeper's is the log
	}
	_ = os.Remove(v.path(seedName)) // it may tell secrets; the next start makes it anew
	v.removeSockets()
	due := v.After
	v.After, v.QEMU.PID, v.Keeper.PID = nil, 0, 0
	_ = v.save() // before: no command is run twice
	for _, argv := range due {
		v.runLogged(argv)
	}
}

// removeSockets removes what processes that are gone listened at: theirs, and
// those of a switch that was killed before it could.
func (v *vm) removeSockets() {
	removeSocketsIn(v.dir, "qmp", "console", "agent", "port*", "passt*")
	for _, dir := range matching(v.dir, fs.ModeDir, "switch*") {
		removeSocketsIn(dir, "*")
		_ = os.Remove(filepath.Join(dir, "pid"))
		_ = os.Remove(dir) // if it is empty
	}
}

// removeSocketsIn removes the sockets in dir whose names match one of the patterns.
func removeSocketsIn(dir string, patterns ...string) {
	for _, path := range matching(dir, fs.ModeSocket, patterns...) {
		_ = os.Remove(path)
	}
}

// matching are the files of a type in dir whose names match one of the patterns.
// filepath.Glob would take dir for a pattern, too: the VM * would reach all others.
func matching(dir string, typ fs.FileMode, patterns ...string) (paths []string) {
	files, _ := os.ReadDir(dir) // one that is not there has none
	for _, f := range files {
		fits := func(pattern string) bool {
			ok, _ := filepath.Match(pattern, f.Name()) // fails only for a bad pattern
			return ok
		}
		if f.Type() == typ && slices.ContainsFunc(patterns, fits) {
			paths = append(paths, filepath.Join(dir, f.Name()))
		}
	}
	return paths
}
