// Package sshtest runs real SSH servers for tests.
//
// A Lab is what an admin has: an ssh configuration with hosts in it, a key and
// known hosts, all in a directory of its own, so that nobody's ~/.ssh is read or
// written. Each host of a lab is an sshd of its own on a loopback port, in a
// mount namespace with an empty /run and a home directory of its own: what runs
// on one host is not seen on another. Only root can make such hosts.
package sshtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const server = "/usr/sbin/sshd" // it insists on being started by its full path

// Lab is some hosts and the way to them.
type Lab struct {
	Dir string // a short path

	t testing.TB
}

// Options of a host.
type Options struct {
	Config string            // lines of sshd_config that come first, and so win
	Env    map[string]string // of who logs in; HOME and PATH have values already
	Setup  string            // shell commands that are run in its namespace before sshd starts
	Bin    string            // a directory that comes first in PATH
	Net    bool              // a network of its own, with nothing in it but lo; Alias says how to get there
}

// Host is an sshd that runs.
type Host struct {
	Name, Port, Home string

	PID int
	lab *Lab
	end func()
}

// New makes an empty lab, or skips the test where there can be none.
func New(t testing.TB) *Lab {
	t.Helper()
	if _, err := os.Stat(server); err != nil {
		t.Skip("sshd is not installed: run scripts/deps test")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give an sshd a namespace of its own")
	}
	dir, err := os.MkdirTemp("/tmp", "st") // paths of control sockets are long as they are
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Dir: dir, t: t}
	t.Cleanup(func() {
		l.hangUp()
		_ = os.RemoveAll(dir)
	})
	if err := os.Mkdir(l.path("config"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"hostkey", "id"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", l.path(key)).CombinedOutput(); err != nil {
			t.Fatalf("make key: %v: %s", err, out)
		}
	}
	l.Configure("")
	return l
}

func (l *Lab) path(name string) string { return filepath.Join(l.Dir, name) }

// Command is the ssh command of this lab.
func (l *Lab) Command() []string { return []string{"ssh", "-F", l.path("ssh_config")} }

// Environ is what a program needs to be the admin of this lab, and nobody else.
func (l *Lab) Environ() map[string]string {
	return map[string]string{
		"VNETCTL_SSH": strings.Join(l.Command(), " "), "XDG_RUNTIME_DIR": l.Dir, "XDG_CONFIG_HOME": l.path("config"),
		"CTYS_GROUPS_PATH": "", "CTYS_MACRO_PATH": "", "HOME": l.Dir,
	}
}

// Configure puts lines in front of the ssh configuration.
func (l *Lab) Configure(lines string) {
	l.t.Helper()
	old, err := os.ReadFile(l.path("ssh_config"))
	if errors.Is(err, fs.ErrNotExist) {
		old, err = fmt.Appendf(nil, `Host *
  User root
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
  StrictHostKeyChecking accept-new
`, l.path("id"), l.path("known")), nil
	}
	if err == nil {
		err = os.WriteFile(l.path("ssh_config"), append([]byte(lines), old...), 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// Alias gives a host, or an address and a port, more names. "%%d" in address is
// not touched.
func (l *Lab) Alias(address, port string, names ...string) {
	l.t.Helper()
	l.Configure(fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n", strings.Join(names, " "), address, port))
}

// hangUp ends the connections that wait for the next run.
func (l *Lab) hangUp() {
	sockets, _ := filepath.Glob(l.path("vnetctl-ssh-*/*"))
	var wait sync.WaitGroup
	for _, s := range sockets {
		wait.Go(func() { _ = exec.Command("ssh", "-F", "none", "-S", s, "-O", "exit", "x").Run() })
	}
	wait.Wait()
}

// Output is what a program says, for those who read it while it runs.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is all of it so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts a host. Its name is one of ssh's configuration from then on.
func (l *Lab) Start(name string, o Options) *Host {
	l.t.Helper()
	h := &Host{Name: name, Home: l.path("home-" + name), lab: l}
	if err := os.MkdirAll(h.Home, 0o755); err != nil {
		l.t.Fatal(err)
	}
	env := map[string]string{"HOME": h.Home, "PATH": strings.TrimPrefix(o.Bin+":/usr/sbin:/usr/bin:/sbin:/bin", ":"), "XDG_CACHE_HOME": "", "XDG_RUNTIME_DIR": ""}
	for k, v := range o.Env {
		env[k] = v
	}
	set := "SetEnv"
	for k, v := range env {
		set += fmt.Sprintf(" %q", k+"="+v)
	}
	for range 20 { // someone may take the port before sshd does
		h.Port = freePort(l.t)
		config := fmt.Sprintf(`%s
ListenAddress 0.0.0.0:%s
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PermitUserRC no
PrintLastLog no
MaxStartups 500
MaxSessions 100
%s
`, o.Config, h.Port, l.path("hostkey"), l.path("id.pub"), set)
		if err := os.WriteFile(l.path("sshd-"+name), []byte(config), 0o600); err != nil {
			l.t.Fatal(err)
		}
		if h.start(l.path("sshd-"+name), o) {
			if !o.Net {
				l.Alias("127.0.0.1", h.Port, name)
			}
			return h
		}
	}
	l.t.Fatal("no port for sshd")
	return nil
}

func freePort(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// start starts sshd and tells whether it got its port.
func (h *Host) start(config string, o Options) bool {
	t := h.lab.t
	t.Helper()
	said := &Output{}
	setup := "mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/sshd\n"
	if o.Net {
		setup += "mount -t sysfs sysfs /sys; ip link set lo up\n"
	}
	cmd := exec.Command("/bin/sh", "-ec", setup+o.Setup+"\nexec "+server+` -D -e -f "$1"`, "sshd", config)
	cmd.Stderr, cmd.WaitDelay = said, time.Second
	cmd.SysProcAttr = ownNamespace(o.Net)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	h.PID = cmd.Process.Pid
	h.end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	t.Cleanup(func() {
		h.lab.hangUp() // sessions hold its standard error
		h.end()
		if t.Failed() {
			t.Logf("sshd of %s said:\n%s", h.Name, said)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(said.String(), "Server listening") {
			return true
		}
		select {
		case <-ended:
			if strings.Contains(said.String(), "in use") {
				return false
			}
			t.Fatalf("sshd did not start:\n%s", said)
		default:
		}
	}
	t.Fatalf("sshd does not listen:\n%s", said)
	return false
}

// Stop ends the server; connections that there are live on.
func (h *Host) Stop() { h.end() }
