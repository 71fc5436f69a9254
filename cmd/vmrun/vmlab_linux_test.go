package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vnetkit/switch/link/linktest"
)

// buildPrograms builds vmrun and vswitch beside each other, once.
var buildPrograms = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "vmrun-bin-")
	if err != nil {
		return "", err
	}
	builtDir = dir
	cmd := exec.Command("go", "build", "-o", dir+"/", "vnetkit/cmd/vmrun", "vnetkit/cmd/vswitch")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return dir, nil
})

// bench is a user's home with the real programs, the real QEMU, and perhaps a
// network namespace of its own.
type bench struct {
	t    *testing.T
	bin  string
	home string
	disk string
	ns   *linktest.Namespace
	wrap []string // in front of vmrun
	more []string // arguments of vmrun's for each boot
}

func newBench(t *testing.T, ns *linktest.Namespace) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("starts QEMU: not with -short")
	}
	if _, err := exec.LookPath(defaultQEMU); err != nil {
		t.Skipf("needs QEMU: %v", err)
	}
	bin, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "vmr-")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, bin: bin, home: home, disk: filepath.Join(home, "disk.img"), ns: ns}
	if err := os.WriteFile(b.disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range b.vms() {
			b.try("kill", v.Name)
		}
		if pid, err := os.ReadFile(filepath.Join(home, "sw/pid")); err == nil {
			var n int
			if _, err := fmt.Sscan(string(pid), &n); err == nil && n > 1 {
				_ = syscall.Kill(n, syscall.SIGTERM)
				b.await("the switch ends", func() bool { return began(n) == "" })
			}
		}
		os.RemoveAll(home)
	})
	return b
}

// try runs vmrun and returns all it printed, and its exit code.
func (b *bench) try(args ...string) (out string, code int) {
	b.t.Helper()
	run := func() error {
		argv := append(append(b.wrap[:len(b.wrap):len(b.wrap)], filepath.Join(b.bin, "vmrun")), args...)
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+b.home, "XDG_CACHE_HOME="+b.home+"/cache", "XDG_RUNTIME_DIR="+b.home)
		text, err := cmd.CombinedOutput()
		out = string(text)
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code, err = exit.ExitCode(), nil
		}
		return err
	}
	if b.ns != nil {
		b.ns.Do(run)
	} else if err := run(); err != nil {
		b.t.Fatal(err)
	}
	return out, code
}

// must runs vmrun, which must succeed.
func (b *bench) must(args ...string) string {
	b.t.Helper()
	out, code := b.try(args...)
	if code != 0 {
		b.t.Fatalf("vmrun %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// start starts a VM that needs no guest.
func (b *bench) start(name string, args ...string) *vm {
	b.t.Helper()
	b.must(append([]string{"--accel", "tcg", "-m", "32M", "-s", b.home + "/sw", "--name", name, b.disk}, args...)...)
	return b.vm(name)
}

func (b *bench) vms() []vm {
	var answer struct{ VMs []vm }
	out, _ := b.try("list", "--json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		b.t.Errorf("list --json: %v: %s", err, out)
	}
	return answer.VMs
}

func (b *bench) vm(name string) *vm {
	b.t.Helper()
	v := &vm{dir: filepath.Join(b.home, "vnetkit/vms", name)}
	if err := json.Unmarshal([]byte(b.must("info", "--json", name)), v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bench) await(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("still not: %s", what)
		}
	}
}

// sw starts a switch in the user's home.
func (b *bench) sw(args ...string) {
	b.t.Helper()
	run := func() error {
		out, err := exec.Command(filepath.Join(b.bin, "vswitch"), append([]string{"-s", b.home + "/sw", "-d"}, args...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	if b.ns != nil {
		b.ns.Do(run)
	} else if err := run(); err != nil {
		b.t.Fatal(err)
	}
}
