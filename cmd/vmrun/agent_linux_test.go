package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A guest that nobody but its own agent knows, on a cable that ends in QEMU: its
// address is told while the agent runs, IPv4 first.
func TestAgent(t *testing.T) {
	b := newBench(t, nil)
	b.more = []string{"--initrd", b.withAgent()}
	g := b.boot("asked", "10.79.0.9/24,fd79::9/64", "hubport=3")
	g.ready()
	if out, code := b.try("ip", "asked"); code != 1 || !strings.Contains(out, "not available") {
		t.Errorf("without an agent: exit %d: %s", code, out)
	}
	g.sh(`modprobe virtio_console && cd /sys/class/virtio-ports && port=$(grep -lx org.qemu.guest_agent.0 */name) && cd / && qemu-ga -d -m virtio-serial -p /dev/${port%/name} -t /tmp -f /tmp/agent.pid`)
	if out := b.must("ip", "--wait", "60", "asked"); out != "10.79.0.9\n" {
		t.Errorf("by the agent: %q", out)
	}
	g.sh("ip addr del 10.79.0.9/24 dev eth0")
	if out := b.must("ip", "--wait", "60", "asked"); out != "fd79::9\n" {
		t.Errorf("by the agent, without IPv4: %q", out)
	}
	g.sh("ip addr del fd79::9/64 dev eth0")
	if out, code := b.try("ip", "asked"); code != 1 || !strings.Contains(out, "not available") {
		t.Errorf("with a link-local address only: exit %d: %s", code, out)
	}
	b.must("kill", "asked")
	if _, err := os.Lstat(g.v.path("agent")); err == nil {
		t.Error("the agent's socket is left")
	}
}

// withAgent is the guests' initrd with the QEMU guest agent and its libraries.
func (b *bench) withAgent() (initrd string) {
	b.t.Helper()
	agent, err := exec.LookPath("qemu-ga")
	if err != nil {
		b.t.Skip("qemu-ga is not installed: run scripts/deps test")
	}
	tree := filepath.Join(b.home, "with-agent")
	initrd = tree + ".initrd"
	// A kernel unpacks archives that follow each other, the later over the earlier.
	out, err := exec.Command("sh", "-ec", fmt.Sprintf(`mkdir -p %[1]s/bin; cp %[2]s %[1]s/bin/; cp %[3]s/initrd %[4]s; cd %[1]s
		for lib in $(ldd %[2]s | grep -o '/[^ ]*'); do mkdir -p .${lib%%/*}; cp -L $lib .$lib; done
		find . | cpio --quiet -o -H newc >>%[4]s`, tree, agent, b.images(), initrd)).CombinedOutput()
	if err != nil {
		b.t.Fatalf("make %s: %v: %s", initrd, err, out)
	}
	return initrd
}

// An agent's port that is the user's own is left alone: QEMU takes one of a name.
func TestOwnAgent(t *testing.T) {
	b := newBench(t, nil)
	path := filepath.Join(b.home, "own")
	v := b.start("own", "--net", "none", "--", "-chardev", "socket,id=agent,path="+path+",server=on,wait=off", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(v.path("agent")); err == nil {
		t.Error("there are two")
	}
}
