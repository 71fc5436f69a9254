package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vnetkit/mgmt/api"
)

// TestVhostQueues has two guests with two CPUs and two pairs of rings each send and
// receive by both. What a guest sends goes by the ring of the CPU that sends it;
// what it receives is spread by flows.
func TestVhostQueues(t *testing.T) {
	needGuests(t)
	v := startSwitch(t)
	door := filepath.Join(v.dir, api.VhostName)
	bootTwo := func(n int) *guest {
		return bootCard(t, n, ",vectors=0,mq=on", "-smp", "2",
			"-object", "memory-backend-memfd,id=m0,size=192M,share=on", "-machine", "memory-backend=m0",
			"-chardev", "socket,id=c0,path="+door, "-netdev", "vhost-user,id=n0,chardev=c0,queues=2")
	}
	a, b := bootTwo(1), bootTwo(2)
	ready(a, b)
	for _, g := range []*guest{a, b} {
		if out := g.sh("ls /sys/class/net/eth0/queues"); !strings.Contains(out, "rx-1") || !strings.Contains(out, "tx-1") {
			t.Fatalf("%s has the queues %s", g.name, out)
		}
	}
	mustTalk(a, b)
	for cpu := range 2 {
		out := a.sh("taskset " + itoa(cpu+1) + " iperf3 -c " + b.ip + " -t 1 -P 8")
		if !strings.Contains(out, "receiver") {
			t.Fatalf("iperf3 on CPU %d:\n%s", cpu, out)
		}
	}
	for _, g := range []*guest{a, b} {
		used := usedOf(g)
		t.Logf("%s: frames by ring: %v", g.name, used)
		for i, n := range used {
			if n == 0 {
				t.Errorf("%s: ring %d carried nothing: %v", g.name, i, used)
			}
		}
	}
	v.stop()
}

// usedOf is how many chains (modulo 1<<16) the switch has given back in each of a
// guest's rings: two bytes behind the beginning of a used ring.
func usedOf(g *guest) (used [4]uint64) {
	m := openMonitor(g)
	var devices []struct{ Path string }
	if err := json.Unmarshal(m.execute("x-query-virtio"), &devices); err != nil || len(devices) != 1 {
		g.t.Fatalf("virtio devices: %+v, %v", devices, err)
	}
	for i := range used {
		var ring struct {
			Used uint64 `json:"vring-used"`
		}
		answer := m.executeWith("x-query-virtio-queue-status", map[string]any{"path": devices[0].Path, "queue": i})
		if err := json.Unmarshal(answer, &ring); err != nil || ring.Used == 0 {
			g.t.Fatalf("ring %d: %s, %v", i, answer, err)
		}
		var text string
		answer = m.executeWith("human-monitor-command", map[string]any{"command-line": fmt.Sprintf("xp /1hx %#x", ring.Used+2)})
		if err := json.Unmarshal(answer, &text); err != nil {
			g.t.Fatal(err)
		}
		_, value, _ := strings.Cut(strings.TrimSpace(text), ": ")
		n, err := strconv.ParseUint(value, 0, 16)
		if err != nil {
			g.t.Fatalf("ring %d: QEMU shows %q: %v", i, text, err)
		}
		used[i] = n
	}
	return used
}
