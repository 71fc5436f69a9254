package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
)

// A vswitch is a running vswitch program.
type vswitch struct {
	t    *testing.T
	dir  string
	args []string
	cmd  *exec.Cmd
	log  *transcript
	http *http.Client
}

// startSwitch runs vswitch on a directory of its own with these arguments
// behind -s DIR, and waits until its doors are open.
func startSwitch(t *testing.T, args ...string) *vswitch {
	t.Helper()
	v := &vswitch{t: t, dir: filepath.Join(tempDir(t), "sw"), args: args}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(v.dir, api.SocketName))
	}
	v.http = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: patience}
	v.start()
	return v
}

// start starts the program, again after stop.
func (v *vswitch) start() {
	v.t.Helper()
	path, err := buildVswitch()
	if err != nil {
		v.t.Fatal(err)
	}
	cmd, log := exec.Command(path, append([]string{"-s", v.dir}, v.args...)...), newTranscript()
	cmd.Stdout, cmd.Stderr = log, log
	v.cmd, v.log = cmd, log
	start(v.t, cmd)
	go func() {
		cmd.Wait()
		log.close()
	}()
	v.t.Cleanup(func() {
		cmd.Process.Kill()
		log.ended(patience)
		if v.t.Failed() {
			v.t.Logf("log of vswitch:\n%s", log.tail())
		}
	})
	eventually(v.t, "the switch answers", func() bool {
		// Only looked at: a connection to the stream door would be a port.
		if _, err := os.Stat(v.door()); err != nil {
			return false
		}
		resp, err := v.http.Get("http://vswitch/v1/info")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

// stop asks the program to end and wants it to end well.
func (v *vswitch) stop() {
	v.t.Helper()
	v.cmd.Process.Signal(syscall.SIGTERM)
	v.ended()
	if s := v.cmd.ProcessState; s == nil || !s.Success() {
		v.t.Fatalf("vswitch after SIGTERM: %v", s)
	}
}

// ended waits until the program is gone.
func (v *vswitch) ended() {
	v.t.Helper()
	if !v.log.ended(patience) {
		v.t.Fatal("vswitch does not end")
	}
}

// door is the path that QEMU connects to.
func (v *vswitch) door() string { return filepath.Join(v.dir, api.StreamName) }

// get asks the API.
func (v *vswitch) get(path string, answer any) {
	v.t.Helper()
	resp, err := v.http.Get("http://vswitch" + path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		v.t.Fatalf("GET %s: %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		v.t.Fatalf("GET %s: %v", path, err)
	}
}

func (v *vswitch) ports() []api.Port {
	v.t.Helper()
	var answer api.Ports
	v.get("/v1/ports", &answer)
	return answer.Ports
}

// portOf is the port that g's QEMU is plugged into, nil if there is none.
func (v *vswitch) portOf(g *guest) *api.Port {
	v.t.Helper()
	for _, p := range v.ports() {
		if p.Peer != nil && p.Peer.PID == g.pid() {
			return &p
		}
	}
	return nil
}

// port is the port of this name, nil if there is none.
func (v *vswitch) port(name string) *api.Port {
	v.t.Helper()
	for _, p := range v.ports() {
		if p.Name == name {
			return &p
		}
	}
	return nil
}

// learned says behind which port the switch knows g's MAC in a VLAN; 0: unknown.
func (v *vswitch) learned(g *guest, vlan int) int {
	v.t.Helper()
	var answer api.FDB
	v.get("/v1/fdb", &answer)
	for _, e := range answer.Entries {
		if strings.EqualFold(e.MAC, g.mac) && e.VLAN == vlan {
			return e.Port
		}
	}
	return 0
}
