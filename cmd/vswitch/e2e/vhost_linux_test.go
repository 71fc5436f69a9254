package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
)

// bootVhost boots a guest whose card is served over vhost-user: its memory is a
// file that the switch maps. vectors=0 because QEMU 7.2 under TCG dies of
// message-signalled interrupts with vhost-user.
func bootVhost(t *testing.T, n int, chardev, card string, args ...string) *guest {
	t.Helper()
	return bootCard(t, n, ",vectors=0"+card, append([]string{
		"-object", "memory-backend-memfd,id=m0,size=192M,share=on", "-machine", "memory-backend=m0",
		"-chardev", "socket,id=c0," + chardev, "-netdev", "vhost-user,id=n0,chardev=c0"}, args...)...)
}

// TestVhostUser plugs two guests in by their memory and one by a stream.
func TestVhostUser(t *testing.T) {
	needGuests(t)
	t.Parallel() // TestVanishedPeerIsReaped leaves a CPU idle
	door := filepath.Join(tempDir(t), "vhost")
	v := startSwitch(t, "--port", "vhost-user:"+door+",packed=on")
	a := bootVhost(t, 1, "path="+door, ",packed=on")
	b := bootVhost(t, 2, "path="+filepath.Join(v.dir, api.VhostName)+",reconnect=1", "")
	c := boot(t, 3, streamUnix(v.door(), false))
	ready(a, b, c)

	mustTalk(a, b)
	mustTalk(a, c)
	mustTalk(c, b)
	mustLearn(v, a, b, c)
	for size := range 48 {
		a.sh("ping -c 1 -W 20 -s " + itoa(size) + " " + b.ip)
	}
	a.mustPing(b.ip, "-s 9000") // in pieces
	out := a.sh("iperf3 -c " + b.ip + " -t 2")
	if !strings.Contains(out, "receiver") {
		t.Fatalf("iperf3:\n%s", out)
	}
	// Between a guest that leaves segmentation to others and one that has never
	// heard of it, both ways.
	for _, way := range []string{"", " -R"} {
		if out := a.sh("iperf3 -c " + c.ip + " -t 1" + way); !strings.Contains(out, "receiver") {
			t.Fatalf("iperf3%s:\n%s", way, out)
		}
	}
	if p := v.portOf(a); p.Offload == nil || p.Offload.Merged == 0 {
		t.Errorf("nothing was merged for %s: %+v", a.name, p.Offload)
	}
	t.Logf("%s features %s", out, a.sh("cat /sys/bus/virtio/devices/virtio0/features"))

	// The driver goes and comes: rings stop, and start anew.
	before := v.portOf(b).ID
	b.sh("ip link set eth0 down; rmmod virtio_net; modprobe virtio_net; ip addr add " + b.ip + "/24 dev eth0; ip link set eth0 up")
	a.mustPing(b.ip)
	if now := v.portOf(b); now == nil || now.ID != before {
		t.Fatalf("the driver was loaded anew, and the port %d is now %+v", before, now)
	}

	// The switch goes and comes: a guest that reconnects goes on where it was.
	v.stop()
	v.start()
	eventually(t, "vm2 is plugged in again", func() bool { return v.portOf(b) != nil })
	b.sh("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 20000; done")
	d := bootVhost(t, 4, "path="+door, "")
	ready(d)
	mustTalk(d, b)

	d.signal(syscall.SIGKILL)
	eventually(t, "the dead guest's port and MAC are gone", func() bool {
		return v.learned(d, 1) == 0 && v.portOf(d) == nil
	})
	v.stop()
}

// TestVhostUserDials has the switch connect to a QEMU that listens.
func TestVhostUserDials(t *testing.T) {
	needGuests(t)
	dir := tempDir(t)
	path := filepath.Join(dir, "vm1")
	door := filepath.Join(dir, "vhost")
	v := startSwitch(t, "--port", "vhost-user:"+path+",connect=on,name=vm1", "--port", "vhost-user:"+door)
	a := bootVhost(t, 1, "path="+path+",server=on", "")
	b := bootVhost(t, 2, "path="+door+",reconnect=1", "")
	ready(a, b)
	mustTalk(a, b)
	if p := v.port("vm1"); p == nil || p.State != api.StateUp {
		t.Fatalf("port vm1: %+v", p)
	}
	v.stop()
	v.start()
	eventually(t, "both are plugged in again", func() bool {
		p := v.port("vm1")
		return p != nil && p.State == api.StateUp && v.portOf(b) != nil
	})
	for _, g := range []*guest{a, b} {
		g.sh("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 20000; done")
	}
	mustTalk(a, b)
	v.stop()
}
