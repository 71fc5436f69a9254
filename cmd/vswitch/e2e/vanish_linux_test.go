package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A TCP peer that is gone without a word, as when its host lost power, is
// reaped within 35 s. The switch and the peer have a network namespace each.
func TestVanishedPeerIsReaped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	t.Parallel()           // it only waits
	runtime.LockOSThread() // and never unlock: the thread's namespace goes with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	peer, say := startPeer(t)
	sh(t, "ip link add name near type veth peer name far && ip link set far netns "+strconv.Itoa(peer)+
		" && ip addr add 10.9.0.1/24 dev near && ip link set near up")
	v := startSwitch(t, "--port", "stream:tcp:10.9.0.1:5558")
	say("ip addr add 10.9.0.2/24 dev far; ip link set far up; exec 3<>/dev/tcp/10.9.0.1/5558; echo done")
	eventually(t, "the peer is a port", func() bool { return len(v.ports()) == 1 })

	sh(t, "ip link set near down")
	const limit = 35 * time.Second
	began := time.Now()
	for len(v.ports()) > 0 {
		if time.Since(began) > limit {
			t.Fatalf("the port of a vanished peer is there after %v: %+v", limit, v.ports())
		}
		time.Sleep(100 * time.Millisecond) // between two looks, for half a minute
	}
	t.Logf("reaped after %v", time.Since(began).Round(100*time.Millisecond))
}

// startPeer starts a shell in a network namespace of its own, and returns a
// function that has it carry out a command that ends with echo done.
func startPeer(t *testing.T) (pid int, say func(command string)) {
	t.Helper()
	cmd := exec.Command("unshare", "-n", "bash")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	say = func(command string) {
		t.Helper()
		if _, err := io.WriteString(in, command+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); strings.TrimSpace(line) != "done" {
			t.Fatalf("%s: %q, %v", command, line, err)
		}
	}
	say("echo done") // in its namespace by now
	return cmd.Process.Pid, say
}

func sh(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
