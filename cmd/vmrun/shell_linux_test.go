package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// guest is a VM of vmrun's with a shell on its serial line, which a test types
// into by the VM's console. What it prints is read there, too: QEMU 7.2 writes a
// byte twice to the VM's file "serial" when the console was full.
type guest struct {
	b    *bench
	v    *vm
	conn net.Conn
	seq  int // of commands, for the markers

	mu   sync.Mutex
	text bytes.Buffer // what was printed on the console
}

// images finds the kernel and initrd of scripts/guest.
func (b *bench) images() string {
	b.t.Helper()
	dir, err := filepath.EvalSymlinks("../../.cache/guest")
	if err != nil {
		b.t.Skip("no guest images in .cache/guest: run scripts/guest")
	}
	return dir
}

// boot starts a guest with these cards and addresses of the first one, and does
// not wait for it: see ready.
func (b *bench) boot(name, addresses string, cards ...string) *guest {
	b.t.Helper()
	images := b.images()
	args := []string{"--accel", "tcg", "-m", "192M", "--name", name, "-s", b.home + "/sw", "--kernel", images + "/vmlinuz", "--initrd", images + "/initrd",
		"--append", fmt.Sprintf("console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check cryptomgr.notests vnet.plain=1 vnet.name=%s vnet.ip=%s", name, addresses)}
	for _, c := range cards {
		args = append(args, "--net", c)
	}
	b.must(append(args, b.more...)...)
	g := &guest{b: b, v: b.vm(name)}
	var err error
	if g.conn, err = net.Dial("unix", g.v.path("console")); err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _, _ = io.Copy(g, g.conn); close(done) }()
	b.t.Cleanup(func() {
		_ = g.conn.Close()
		<-done
		if b.t.Failed() {
			text := g.said()
			b.t.Logf("console of %s:\n%s", name, text[max(0, len(text)-2000):])
		}
	})
	return g
}

// Write notes what the guest prints.
func (g *guest) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *guest) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// ready waits until the guest takes commands. It may have been ready before the
// console was opened.
func (g *guest) ready() {
	g.b.t.Helper()
	g.b.await(g.v.Name+" is up", func() bool {
		file, _ := os.ReadFile(g.v.path("serial"))
		return strings.Contains(string(file)+g.said(), "ready "+g.v.Name)
	})
}

// try runs a command in the guest and returns what it printed and its exit status.
func (g *guest) try(command string) (out string, status int) {
	g.b.t.Helper()
	g.seq++
	begin, end := fmt.Sprintf("@@begin%d\n", g.seq), fmt.Sprintf("@@end%d ", g.seq)
	fmt.Fprintf(g.conn, "echo @@begin%d; { %s; } 2>&1 </dev/null; echo @@end%d $?.\n", g.seq, command, g.seq)
	g.b.await(g.v.Name+": "+command, func() bool {
		_, rest, found := strings.Cut(g.said(), begin)
		if !found {
			return false
		}
		if out, rest, found = strings.Cut(rest, end); !found || !strings.Contains(rest, ".\n") {
			return false
		}
		_, err := fmt.Sscanf(rest, "%d.", &status)
		return err == nil
	})
	return out, status
}

// sh runs a command that must succeed.
func (g *guest) sh(command string) string {
	g.b.t.Helper()
	out, status := g.try(command)
	if status != 0 {
		g.b.t.Fatalf("%s: %s: exit status %d\n%s", g.v.Name, command, status, out)
	}
	return out
}

// mustReach pings addresses, all at the same time, and wants each ping answered
// exactly once. What a busy machine loses, such as the first one while it looks for
// its neighbour for longer than the kernel waits, is sent again.
func (g *guest) mustReach(addrs ...string) {
	g.b.t.Helper()
	const reach = `(for try in 1 2 3 4 5; do ping -c 3 -i 0.2 -W 5 $a >/tmp/ping.$a 2>&1; grep -q ' 3 packets received' /tmp/ping.$a && break; done)`
	out := g.sh("for a in " + strings.Join(addrs, " ") + "; do " + reach + " & done; wait; cat /tmp/ping.*; rm /tmp/ping.*")
	// A second answer is counted as a duplicate, between the two.
	if n := strings.Count(out, "3 packets transmitted, 3 packets received, 0% packet loss"); n != len(addrs) {
		g.b.t.Errorf("%s pings %v, and %d of them answer as they should:\n%s", g.v.Name, addrs, n, out)
	}
}

// address gives one more card an address.
func (g *guest) address(card int, addr string) {
	g.b.t.Helper()
	g.sh(fmt.Sprintf("ip addr add %s/24 dev eth%d && ip link set eth%d up", addr, card, card))
}
