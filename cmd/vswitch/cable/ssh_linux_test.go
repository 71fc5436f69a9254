package cable

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// sshd is an SSH server on loopback that knows one key: its own configuration,
// port and host key, and a child of the test.
type sshd struct{ dir, port, user string }

const sshdProgram = "/usr/sbin/sshd" // it insists on being started by its full path

func startSSHD(t *testing.T) *sshd {
	t.Helper()
	if _, err := os.Stat(sshdProgram); err != nil {
		t.Skip("sshd is not installed: run scripts/deps test")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{dir: tempDir(t), user: me.Username}
	if me.Uid == "0" {
		privilegeDir(t)
	}
	for _, key := range []string{"host", "id"} {
		cmd := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path(key))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make key: %v: %s", err, out)
		}
	}
	for range 20 { // someone may take the port before sshd does
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, s.port, _ = net.SplitHostPort(ln.Addr().String())
		_ = ln.Close()
		config := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n",
			s.port, s.path("host"), s.path("id.pub"))
		if err := os.WriteFile(s.path("config"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		p := run(t, sshdProgram, "-D", "-e", "-f", s.path("config"))
		up := false
		eventually(t, "an sshd that listens, or ended", func() bool {
			up = strings.Contains(p.stderr.String(), "Server listening")
			select {
			case <-p.ended:
				return true
			default:
				return up
			}
		})
		if up {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("sshd said:\n%s", &p.stderr)
				}
			})
			return s
		}
		if !strings.Contains(p.stderr.String(), "in use") {
			t.Fatalf("sshd did not start:\n%s", &p.stderr)
		}
	}
	t.Fatal("no port for sshd")
	return nil
}

// privilegeDir makes the directory that sshd wants as root, where no service has.
func privilegeDir(t *testing.T) {
	t.Helper()
	const dir = "/run/sshd"
	if err := os.Mkdir(dir, 0o755); err == nil {
		t.Cleanup(func() { _ = os.Remove(dir) })
	} else if !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

func (s *sshd) path(name string) string { return filepath.Join(s.dir, name) }

// command is how to run a command there.
func (s *sshd) command(args ...string) []string {
	return append([]string{
		"ssh", "-F", "none", "-i", s.path("id"), "-p", s.port, "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + s.path("known"), "-o", "LogLevel=ERROR",
		s.user + "@127.0.0.1",
	}, args...)
}

// Two switches on two hosts, joined by one line, with whatever plug on either side.
func TestOverSSH(t *testing.T) {
	host := startSSHD(t)
	v := vdeSwitch(t)
	a, b := startSwitch(t), startSwitch(t)
	sa, sb, sv := a.plugIn(), b.plugIn(), run(t, "vde_plug", v).station()
	for _, tc := range []struct {
		name     string
		line     []string
		from, to *station
	}{
		{"ours = ssh ours", self(append([]string{a.dir, "="}, host.command(self(b.dir)...)...)...), sa, sb},
		{"ours = ssh vde_plug", self(append([]string{a.dir, "="}, host.command("vde_plug", v)...)...), sa, sv},
		{"dpipe vde_plug = ssh ours", append([]string{"dpipe", "vde_plug", v, "="}, host.command(self(b.dir)...)...), sv, sb},
		{"dpipe ours = ssh vde_plug", append(append([]string{"dpipe"}, self(a.dir)...), append([]string{"="}, host.command("vde_plug", v)...)...), sa, sv},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := run(t, tc.line...)
			bothWays(t, tc.from, tc.to, usual...)
			_ = p
		})
		a.awaitPorts(1) // the far side has left, too
		b.awaitPorts(1)
	}
	t.Run("the far switch stops", func(t *testing.T) {
		c := startSwitch(t)
		sc := c.plugIn()
		p := run(t, self(append([]string{a.dir, "="}, host.command(self(c.dir)...)...)...)...)
		bothWays(t, sa, sc)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		p.want(1, "command ssh ended: exit status 1", "closed by the other side")
	})
	t.Run("no such switch there", func(t *testing.T) {
		p := run(t, self(append([]string{a.dir, "="}, host.command(self("/nonexistent/switch")...)...)...)...)
		p.want(1, "no switch runs there", "command ssh ended: exit status 4")
	})
	t.Run("nobody at that port", func(t *testing.T) {
		nowhere := &sshd{dir: host.dir, port: "1", user: host.user}
		p := run(t, self(append([]string{a.dir, "="}, nowhere.command("vde_plug", v)...)...)...)
		p.want(1, "Connection refused", "command ssh ended: exit status 255")
	})
	t.Run("a greeting", func(t *testing.T) {
		p := run(t, self(append([]string{a.dir, "="}, host.command("echo Welcome to this host, user; exec cat")...)...)...)
		p.want(1, "out of step", "Welcome to this host")
	})
	a.awaitPorts(1)
}
