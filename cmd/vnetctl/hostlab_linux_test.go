package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/mgmttest"
)

const insideHost = "VNETCTL_TEST_INSIDE"

// ownHost runs the test again in namespaces of its own, with an empty /run and a
// vswitch in PATH, and returns true there. All that it starts ends with it.
func ownHost(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideHost) == t.Name() {
		for _, m := range []struct{ from, to, kind string }{{"tmpfs", "/run", "tmpfs"}, {"tmpfs", "/var/lib", "tmpfs"}, {"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}} {
			if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(m.from, m.to, m.kind, 0, "")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod("/run", 0o755); err != nil {
			t.Fatal(err)
		}
		hostSh(t, "ip link set lo up")
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces here")
	}
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.timeout", "200s"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), insideHost+"="+t.Name(), "GORACE=atexit_sleep_ms=0", "PATH="+buildSwitch(t)+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("inside: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("inside:\n%s", out)
	}
	return false
}

// builtSwitch is a directory with vswitch, and with a vnetctl for scripts that runs
// as the functions here run it.
var builtSwitch = sync.OnceValues(func() (dir string, err error) {
	tool, err := builtTool()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "vnetctl-test"); err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { os.RemoveAll(dir) })
	script := "#!/bin/sh\nVNETCTL_TEST_ARGS=\"$*\" exec " + self + "\n"
	return dir, errors.Join(os.WriteFile(filepath.Join(dir, "vnetctl"), []byte(script), 0o755),
		os.Link(filepath.Join(tool, "vswitch"), filepath.Join(dir, "vswitch")), os.Chmod(dir, 0o755))
})

// buildSwitch builds vswitch, once, where every user can run it.
func buildSwitch(t *testing.T) string {
	t.Helper()
	dir, err := builtSwitch()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// hostSh runs shell commands and returns what they print.
func hostSh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// killSwitch kills the daemon of a directory, and waits until it is dead, the last of its
// threads included: one of them keeps the lock until it is.
func killSwitch(t *testing.T, dir string) {
	t.Helper()
	hostSh(t, "p=$(cat "+dir+"/pid); kill -9 $p; while grep -qs '^State:.[^ZX]' /proc/$p/status; do sleep 0.01; done; flock -w 60 "+dir+"/pid true")
}

// host runs vnetctl as a process of its own, as somebody with that environment.
func host(t *testing.T, line string, env ...string) (text string, code int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, "VNETCTL_TEST_ARGS="+line)...)
	// A file, not a pipe: a guardian would hold it open.
	out, err := os.CreateTemp("", "vnetctl-out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer os.Remove(out.Name())
	cmd.Stdout, cmd.Stderr = out, out
	_ = cmd.Run()
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// does fails unless vnetctl exits with a code and says all of want.
func does(t *testing.T, line string, code int, want ...string) string {
	t.Helper()
	text, got := host(t, line)
	ok := got == code
	for _, w := range want {
		ok = ok && strings.Contains(text, w)
	}
	if !ok {
		t.Errorf("vnetctl %s: exit %d, want %d and %q:\n%s", line, got, code, want, text)
	}
	return text
}

// hostPicture is the host's network and what is in /run.
func hostPicture(t *testing.T) string {
	t.Helper()
	return hostSh(t, `ip -j -4 address; ip -j link | sed 's/"promiscuity":[0-9]*//'; ip -j -4 route show table all; ip -j rule; find /run | sort`)
}

// oneNIC gives the host an uplink with the default route.
func oneNIC(t *testing.T) {
	t.Helper()
	hostSh(t, `ip link add up0 address 02:00:00:00:00:02 type veth peer name far0 address 02:00:00:00:00:01; ip link set far0 up; ip link set up0 up
ip address add 10.9.0.2/24 dev up0; ip route add default via 10.9.0.1 metric 50`)
	mgmttest.Until(t, "the uplink is up", func() bool { return bytes.Count([]byte(hostSh(t, "ip -j link")), []byte(`"operstate":"UP"`)) == 2 })
}

// dieAt in the environment names the point at which vnetctl is killed.
const dieAt = "VNETCTL_TEST_DIE"

var _ = func() bool {
	at := os.Getenv(dieAt)
	if at != "" {
		faultPoint = func(name string) {
			if name == at {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
				select {}
			}
		}
	}
	return at != ""
}()
