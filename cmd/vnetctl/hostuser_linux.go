package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/api"
	"vnetkit/tap/hostnet"
)

// mayChangeNetwork tells whether this process has CAP_NET_ADMIN.
func mayChangeNetwork() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	return data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

var errNoSuchWay = errors.New("no such program")

// execAs becomes "sudo vnetctl ..." or "ksu ... vnetctl ...". It returns only if
// there is no such program.
func execAs(how string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	name, args := "sudo", []string{"sudo", "-n", "--", self}
	if how == "KSU" {
		name, args = "ksu", []string{"ksu", "-q", "-e", self}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return errNoSuchWay
	}
	if err := unix.Exec(path, append(args, os.Args[1:]...), os.Environ()); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

// lookupAccount finds USER[.GROUP], or who calls.
func lookupAccount(text string) (account, error) {
	name, group := text, ""
	if text == "" {
		if name = os.Getenv("SUDO_USER"); name == "" || os.Geteuid() != 0 {
			name = strconv.Itoa(os.Getuid())
		}
	} else if _, err := user.Lookup(text); err != nil { // names may have dots
		if i := strings.LastIndexByte(text, '.'); i > 0 {
			name, group = text[:i], text[i+1:]
		}
	}
	u, err := user.Lookup(name)
	if _, e := strconv.Atoi(name); err != nil && e == nil {
		if u, err = user.LookupId(name); err != nil && text == "" {
			u, err = &user.User{Uid: name, Gid: strconv.Itoa(os.Getgid()), Username: name}, nil
		}
	}
	if err != nil {
		cure := "getent passwd lists them"
		if owner, of, colon := strings.Cut(name, ":"); colon {
			cure = fmt.Sprintf("a group is written behind a dot: -u %s.%s", owner, of)
		} else if _, err := api.NamedDir(name); err == nil { // it could be a name
			cure += "; adduser " + name
		}
		return account{}, unknown("user", name, cure)
	}
	who := account{name: u.Username}
	if who.uid, err = strconv.Atoi(u.Uid); err != nil {
		return who, err
	}
	if who.gid, err = strconv.Atoi(u.Gid); err != nil {
		return who, err
	}
	if group != "" {
		if who.gid, err = lookupGroup(group); err != nil {
			return who, err
		}
		who.group = true
	}
	ids, _ := u.GroupIds() // of a user without an entry: none
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			who.groups = append(who.groups, uint32(n))
		}
	}
	return who, nil
}

func lookupGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	return 0, unknown("group", name, "getent group lists them; groupadd "+name)
}

func unknown(kind, name, cure string) error {
	return &hostnet.Error{Code: hostnet.ErrNotFound, Cause: fmt.Sprintf("there is no %s %q on this host", kind, name), Cure: cure}
}

// defaultDir is the switch's directory of a user when -s does not say: what ctys
// has in its environment, with the user's name for the text behind the last
// dot, or /run/vswitch/USER.
func defaultDir(who account) (dir, reason string) {
	switch {
	case os.Getenv("QEMUSOCK") != "":
		return forUser(os.Getenv("QEMUSOCK"), who), "QEMUSOCK"
	case os.Getenv("CTYS_SOCKBASE") != "":
		return filepath.Join(os.Getenv("CTYS_SOCKBASE"), "vde_switch0."+who.name), "CTYS_SOCKBASE"
	}
	return filepath.Join("/run/vswitch", who.name), "the default for this user"
}

// defaultConsole is the console's socket, or empty: the switch's own default.
func defaultConsole(who account) string {
	switch {
	case os.Getenv("QEMUMGMT") != "":
		return forUser(os.Getenv("QEMUMGMT"), who)
	case os.Getenv("QEMUSOCK") == "" && os.Getenv("CTYS_SOCKBASE") != "":
		return filepath.Join(os.Getenv("CTYS_SOCKBASE"), "vde_mgmt0."+who.name)
	}
	return ""
}

func forUser(path string, who account) string {
	if i := strings.LastIndexByte(path, '.'); i > strings.LastIndexByte(path, '/') {
		return path[:i+1] + who.name
	}
	return path
}

// findProgram is the vswitch beside this program, or that in PATH.
func findProgram() (string, error) {
	if self, err := os.Executable(); err == nil {
		if path := filepath.Join(filepath.Dir(self), "vswitch"); unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("vswitch")
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if fi, e := os.Stat(filepath.Join(dir, "vswitch")); err != nil && e == nil && fi.Mode().IsRegular() {
			return "", &hostnet.Error{Code: hostnet.ErrForbidden, Cause: fmt.Sprintf("%s/vswitch may not be run: its mode, or its file system (noexec), forbids it", dir), Cure: "findmnt -o TARGET,OPTIONS shows noexec; install it elsewhere: make install"}
		}
	}
	if err != nil {
		return "", &hostnet.Error{Code: hostnet.ErrNotFound, Cause: "there is no program vswitch beside vnetctl nor in PATH", Cure: "install it: make install"}
	}
	return filepath.Abs(path)
}

// knows tells whether the vswitch there has an option or a port kind.
func knows(program, word string) (bool, error) {
	out, err := exec.Command(program, "--help").Output()
	if err != nil {
		return false, fmt.Errorf("run %s --help: %w", program, err)
	}
	return strings.Contains(string(out), word), nil
}

// runnable tells whether a user may run the program: its directory may be
// closed to him.
func runnable(program string, who account) error {
	cmd := exec.Command("/bin/sh", "-c", `test -x "$1"`, "sh", program)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid), Groups: who.groups}}
	}
	err := cmd.Run()
	if errors.Is(err, unix.EPERM) {
		return &hostnet.Error{Code: hostnet.ErrForbidden, Cause: "root may not become user " + who.name + " here, as in many containers", Err: err, Cure: "it takes the capabilities setuid and setgid: grep CapEff /proc/self/status; or a switch of root's own: leave -u away"}
	}
	if err != nil {
		return &hostnet.Error{Code: hostnet.ErrForbidden, Cause: fmt.Sprintf("user %s may not run %s", who.name, program), Cure: "install vswitch where everybody may run it: make install"}
	}
	return nil
}

// setName is what binds together what one call makes.
func setName(who account, dir string) string { return who.name + " " + dir }

// switchDir is -s, or the default.
func (r *hostRun) switchDir(arg string) (string, error) {
	where := r.where
	if arg != "" {
		where = arg
	}
	if where == "" {
		dir, reason := defaultDir(r.who)
		r.because("switch directory %s: %s", dir, reason)
		return dir, api.CheckDir(dir)
	}
	r.because("switch directory: -s %s", where)
	if strings.ContainsRune(where, '/') {
		return api.ResolveDir(where)
	}
	return api.NamedDir(where)
}
