package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
)

// runVswitch runs the program with arguments that it must refuse.
func runVswitch(t *testing.T, cmd func(path string) *exec.Cmd) (stderr string, status int) {
	t.Helper()
	path, err := buildVswitch()
	if err != nil {
		t.Fatal(err)
	}
	c := cmd(path)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	start(t, c)
	limit := time.AfterFunc(patience, func() { c.Process.Kill() })
	defer limit.Stop()
	if err := c.Wait(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	return out.String(), c.ProcessState.ExitCode()
}

func TestSecondSwitchIsRefused(t *testing.T) {
	v := startSwitch(t)
	x, y := plugIn(t, v), plugIn(t, v)

	stderr, status := runVswitch(t, func(path string) *exec.Cmd { return exec.Command(path, "-s", v.dir) })
	if status != 1 || !strings.Contains(stderr, strconv.Itoa(v.cmd.Process.Pid)) {
		t.Errorf("the second switch ended with status %d and does not name the first one's pid %d:\n%s", status, v.cmd.Process.Pid, stderr)
	}
	mustCarry(t, x, y)
	plugIn(t, v) // the doors are still the first one's
	v.stop()
}

func TestStaleSocketsAreReplaced(t *testing.T) {
	v := startSwitch(t)
	v.cmd.Process.Kill()
	v.ended()
	if _, err := os.Lstat(v.door()); err != nil {
		t.Fatalf("kill -9 leaves the door behind, or this test shows nothing: %v", err)
	}
	v.start()
	mustCarry(t, plugIn(t, v), plugIn(t, v))
	v.stop()
	if _, err := os.Lstat(v.door()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the door after a proper stop: %v, want that it is gone", err)
	}
}

func TestBadStartIsExplained(t *testing.T) {
	dir := tempDir(t)
	fresh := filepath.Join(dir, "fresh")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		dir    string
		args   []string
		status int
		says   []string
	}{
		{"path too long", filepath.Join(dir, strings.Repeat("x", 110)), nil, api.ExitUsage, []string{"107", "xxx/stream"}},
		{"unknown kind", fresh, []string{"--port", "nonsense:x"}, api.ExitUsage, []string{`"nonsense"`, "stream"}},
		{"unknown key", fresh, []string{"--port", "stream:unix:" + fresh + "/x,vlam=1"}, api.ExitUsage, []string{"vlam"}},
		{"VLAN out of range", fresh, []string{"--port", "stream:unix:" + fresh + "/x,vlan=4095"}, api.ExitUsage, []string{"4095"}},
		{"door nowhere", fresh, []string{"--port", "stream:unix:" + dir + "/none/x"}, api.ExitFailed, []string{dir + "/none/x"}},
		{"not a directory", file, nil, api.ExitFailed, []string{file}},
		{"unknown flag", fresh, []string{"--prot", "x"}, api.ExitUsage, []string{"--prot"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stderr, status := runVswitch(t, func(path string) *exec.Cmd {
				return exec.Command(path, append([]string{"-s", tt.dir}, tt.args...)...)
			})
			if status != tt.status {
				t.Errorf("status %d, want %d:\n%s", status, tt.status, stderr)
			}
			for _, want := range tt.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in\n%s", want, stderr)
				}
			}
			if _, err := os.Lstat(fresh); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left %s behind", fresh)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("a file that is not ours was touched: %q, %v", text, err)
	}
}

func TestPermissionDenied(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becomes the user nobody: needs root")
	}
	v := startSwitch(t)
	stderr, status := runVswitch(t, func(path string) *exec.Cmd {
		for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			os.Chmod(dir, 0o755) // nobody must be able to run the program
		}
		return exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", path, "-s", v.dir)
	})
	if status != api.ExitForbidden || !strings.Contains(stderr, v.dir) || !strings.Contains(stderr, "permission denied") {
		t.Errorf("status %d, want %d and the directory's name:\n%s", status, api.ExitForbidden, stderr)
	}
	mustCarry(t, plugIn(t, v), plugIn(t, v))
}

// TestBadClientHarmsItself has clients break the stream's rules in every way;
// two others talk on as if nothing was.
func TestBadClientHarmsItself(t *testing.T) {
	v := startSwitch(t)
	x, y := plugIn(t, v), plugIn(t, v)
	eventually(t, "the good clients have ports", func() bool { return len(v.ports()) == 2 })
	tests := []struct {
		name   string
		bytes  []byte
		closed bool // by the switch; otherwise the client leaves
	}{
		{"length 0", []byte{0, 0, 0, 0}, true},
		{"length 69633", []byte{0, 1, 0x10, 1}, true},
		{"length 4 GiB", []byte{0xff, 0xff, 0xff, 0xff}, true},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), true},
		{"half a header", []byte{0, 0}, false},
		{"half a frame", append([]byte{0, 0, 4, 0}, make([]byte, 100)...), false},
		{"lengths 1 to 13", runts(), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(v.ports())
			bad := plugIn(t, v)
			eventually(t, "the bad client has a port", func() bool { return len(v.ports()) == before+1 })
			if _, err := bad.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			if tt.closed {
				bad.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, bad); err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the switch did not close the connection: %v", err)
				}
			}
			mustCarry(t, x, y)
			bad.Close()
			eventually(t, "the bad client's port is gone", func() bool { return len(v.ports()) == before })
		})
	}
	v.stop()
}

// runts is one frame of each length that is no frame.
func runts() (b []byte) {
	for n := range 14 {
		if n > 0 {
			b = append(append(b, 0, 0, 0, byte(n)), make([]byte, n)...)
		}
	}
	return b
}

// plugIn connects to the switch's stream door as QEMU does.
func plugIn(t *testing.T, v *vswitch) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", v.door())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// mustCarry sends broadcasts from one client until another one gets one. More
// than one only because a client's port comes a moment after its connection.
func mustCarry(t *testing.T, from, to net.Conn) {
	t.Helper()
	payload := []byte(t.Name() + strconv.FormatInt(time.Now().UnixNano(), 10))
	frame := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5"), payload...)
	message := append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
	eventually(t, "a frame goes from one client to the other", func() bool {
		if _, err := from.Write(message); err != nil {
			t.Fatalf("write: %v", err)
		}
		got, err := readFrame(to)
		for err == nil && !bytes.Contains(got, payload) {
			got, err = readFrame(to) // an earlier one
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		return err == nil
	})
}

// readFrame reads one frame, or fails when none starts within a moment.
func readFrame(conn net.Conn) ([]byte, error) {
	var head [4]byte
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(conn, frame)
	return frame, err
}
