package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
)

// TestVhostMigrates has a guest move to another QEMU while data pours into it, over
// connections that go on. Which pages the switch marks as written is TestDirtyLog's:
// of those that it missed, TCP would have most sent again.
func TestVhostMigrates(t *testing.T) {
	needGuests(t)
	v := startSwitch(t)
	door := "path=" + filepath.Join(v.dir, api.VhostName)
	way := "unix:" + filepath.Join(tempDir(t), "migration")
	a := bootVhost(t, 1, door, "")
	b := bootVhost(t, 2, door, "")
	ready(a, b)
	mustTalk(a, b)
	b.sh("dd if=/dev/urandom of=/tmp/big bs=1M count=8 2>/dev/null; (while :; do nc -l -p 5555 </tmp/big >/dev/null; done) >/dev/null 2>&1 & true")
	want := strings.Fields(b.sh("md5sum /tmp/big"))[0]
	// nc ends when its input does; a pipe that nobody writes to does not.
	a.sh("mkfifo /tmp/never; (exec 3<>/tmp/never; while :; do nc " + b.ip + " 5555 <&3 | md5sum >>/tmp/sums; done) >/dev/null 2>&1 & true")
	arrived := func(g *guest) int { return number(g.sh("grep -c " + want + " /tmp/sums || true")) }
	eventually(t, "data has arrived", func() bool { return arrived(a) > 1 })

	c := bootVhost(t, 1, door, "", "-incoming", way)
	openMonitor(c) // it listens for a's state by now
	m := openMonitor(a)
	m.executeWith("migrate", map[string]any{"uri": way})
	eventually(t, "the guest has moved", func() bool {
		var s struct{ Status string }
		if err := json.Unmarshal(m.execute("query-migrate"), &s); err != nil {
			t.Fatal(err)
		}
		if s.Status == "failed" {
			t.Fatalf("migration failed:\n%s\n%s", a.out.tail(), c.out.tail())
		}
		return s.Status == "completed"
	})
	a.signal(syscall.SIGKILL)

	before := arrived(c)
	eventually(t, "more data has arrived", func() bool { return arrived(c) > before+2 })
	c.mustPing(b.ip)
	for _, line := range strings.Split(strings.TrimSpace(c.sh("cat /tmp/sums")), "\n") {
		// Where nobody listened yet nothing came.
		if sum := strings.Fields(line)[0]; sum != want && sum != emptySum {
			t.Errorf("data with sum %s arrived, want %s", sum, want)
		}
	}
	v.stop()
}

// emptySum is the MD5 sum of nothing.
const emptySum = "d41d8cd98f00b204e9800998ecf8427e"

// number is the number in a command's output; 0 if there is none.
func number(s string) (n int) {
	for _, c := range strings.TrimSpace(s) {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}
