package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
)

// The real programs of VDE, as Debian has them, at the door DIR/ctl.

func needVDE(t *testing.T) {
	t.Helper()
	for _, program := range []string{"vde_switch", "vde_plug", "vde_plug2tap", "dpipe", "slirpvde", "wirefilter", "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: run scripts/deps test", program)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces and TAPs")
	}
}

// run starts a program that is killed when the test ends.
func run(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, log := exec.Command(name, args...), newTranscript()
	cmd.Stdout, cmd.Stderr = log, log
	// Programs like vde_plug end with their input.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of %v:\n%s", cmd.Args, log.tail())
		}
	})
	return cmd
}

// tapHost is a network namespace with a TAP in it that vde_plug2tap plugs in.
type tapHost struct {
	t   *testing.T
	ip  string
	cmd *exec.Cmd
}

// plugTap makes the n-th host of a test, at 10.1.0.n. args go to vde_plug2tap.
func plugTap(t *testing.T, n int, dir string, args ...string) *tapHost {
	t.Helper()
	h := &tapHost{t: t, ip: fmt.Sprintf("10.1.0.%d", n)}
	args = append([]string{"-n", "vde_plug2tap", "-s", dir}, append(args, "tap0")...)
	h.cmd = run(t, "unshare", args...)
	eventually(t, "the TAP is there", func() bool { return h.try("ip addr add "+h.ip+"/24 dev tap0") == nil })
	h.sh("ip link set tap0 address 02:00:00:00:01:" + fmt.Sprintf("%02x", n) + " up")
	return h
}

func (h *tapHost) pid() int { return h.cmd.Process.Pid }

// try runs a command in the host's namespace.
func (h *tapHost) try(command string) error {
	out, err := exec.Command("nsenter", "-t", itoa(h.pid()), "-n", "sh", "-ec", command).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
}

func (h *tapHost) sh(command string) {
	h.t.Helper()
	if err := h.try(command); err != nil {
		h.t.Fatal(err)
	}
}

func (h *tapHost) mustPing(o *tapHost) {
	h.t.Helper()
	h.sh("busybox ping -c 3 -i 0.2 -W 20 " + o.ip)
	h.sh("busybox ping -c 1 -W 20 -s 1472 " + o.ip)
}

func (h *tapHost) cannotReach(o *tapHost) {
	h.t.Helper()
	if h.try("busybox ping -c 1 -W 1 "+o.ip) == nil {
		h.t.Fatalf("%s reaches %s, which it must not", h.ip, o.ip)
	}
}

// peerPort is the port of a program, 0 if it has none.
func (v *vswitch) peerPort(pid int) (p api.Port) {
	v.t.Helper()
	for _, p := range v.ports() {
		if p.Peer != nil && p.Peer.PID == pid {
			return p
		}
	}
	return p
}

// vde_plug2tap plugs in at any port and at one that it names, says who it is,
// and leaves nothing.
func TestVDEPlug2Tap(t *testing.T) {
	needVDE(t)
	v := startSwitch(t)
	a, b := plugTap(t, 1, v.dir), plugTap(t, 2, v.dir, "--port=9")
	a.mustPing(b)
	if p := v.peerPort(b.pid()); p.ID != 9 || p.Kind != "vde" || !strings.HasPrefix(p.Peer.Description, "vde_plug2tap: user=root pid=") {
		t.Errorf("the port is %+v, its peer %+v", p, p.Peer)
	}
	if p := v.peerPort(a.pid()); p.ID != 1 {
		t.Errorf("who asks for no port has %d", p.ID)
	}
	_ = b.cmd.Process.Kill()
	eventually(t, "its port is gone", func() bool { return v.port("port9") == nil })
	eventually(t, "its socket is gone", func() bool {
		left, err := filepath.Glob(v.dir + "/009.*")
		return err == nil && len(left) == 0
	})
	v.stop()
	if _, err := os.Stat(v.dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
}

// A switch beside ours, and every cable of VDE between the two.
func TestVDECables(t *testing.T) {
	needVDE(t)
	for _, far := range []string{"vswitch", "vde_switch"} {
		t.Run(far, func(t *testing.T) {
			dir := filepath.Join(tempDir(t), "far")
			if far == "vswitch" {
				dir = startSwitch(t).dir
			} else {
				run(t, "vde_switch", "-s", dir)
				eventually(t, "vde_switch is up", func() bool { _, err := os.Stat(dir + "/ctl"); return err == nil })
			}
			v := startSwitch(t)
			a, b := plugTap(t, 1, v.dir), plugTap(t, 2, dir)
			a.cannotReach(b)
			for name, cable := range map[string][]string{
				"dpipe":      {"dpipe", "vde_plug", v.dir, "=", "vde_plug", dir},
				"vde_plug":   {"vde_plug", "vde://" + v.dir, "vde://" + dir},
				"wirefilter": {"wirefilter", "-v", v.dir + ":" + dir},
			} {
				t.Run(name, func(t *testing.T) {
					cmd := run(t, cable[0], cable[1:]...)
					eventually(t, "the cable is plugged in", func() bool { return len(v.ports()) == 2 })
					within := *a
					within.t = t
					within.mustPing(b)
					_ = cmd.Process.Signal(syscall.SIGTERM)
					eventually(t, "the cable is pulled out", func() bool { return len(v.ports()) == 1 })
				})
			}
			t.Run("own client", func(t *testing.T) {
				w := startSwitch(t, "--port", "vde:"+dir+",name=up", "--port", "vde:"+v.dir+",port=20,name=down")
				eventually(t, "both ends are up", func() bool {
					up, down := w.port("up"), w.port("down")
					return up != nil && up.State == api.StateUp && down != nil && down.State == api.StateUp
				})
				within := *a
				within.t = t
				within.mustPing(b)
				if v.port("port20") == nil {
					t.Errorf("no port 20: %+v", v.ports())
				}
			})
		})
	}
}

// Our client plugs in again when its switch comes back.
func TestVDEClientComesBack(t *testing.T) {
	needVDE(t)
	dir := filepath.Join(tempDir(t), "far")
	up := func() *exec.Cmd {
		cmd := run(t, "vde_switch", "-s", dir)
		eventually(t, "vde_switch is up", func() bool { _, err := os.Stat(dir + "/ctl"); return err == nil })
		return cmd
	}
	first := up()
	v := startSwitch(t, "--port", "vde:"+dir+",name=up")
	state := func(want string) func() bool { return func() bool { return v.port("up").State == want } }
	eventually(t, "it is plugged in", state(api.StateUp))
	_ = first.Process.Signal(syscall.SIGTERM)
	eventually(t, "it has noticed", state(api.StateWaiting))
	up()
	eventually(t, "it is plugged in again", state(api.StateUp))
	a, b := plugTap(t, 1, v.dir), plugTap(t, 2, dir)
	a.mustPing(b)
}
