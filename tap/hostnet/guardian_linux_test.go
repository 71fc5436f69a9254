package hostnet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The guardian alone, without anybody calling recover, undoes a run that is
// killed at any point after its start.
func TestGuardianAlone(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	program(t)
	before := snapshot(t)
	all := points(t, "create", envConfirm+"=1ms")
	undone(t)
	same(t, "not confirmed", before, snapshot(t))
	if all[1] != "guardian" || all[len(all)-1] != "applied" {
		t.Fatalf("points: %v", all)
	}
	for _, p := range all[1:] {
		at := strings.ReplaceAll(p, "_", " ")
		if out, err := run(t, "create", envDie+"="+at, envConfirm+"=1m"); !killed(err) {
			t.Fatalf("%s: %v: %s", at, err, out)
		}
		undone(t)
		if !same(t, "killed at "+at, before, snapshot(t)) {
			t.FailNow()
		}
	}
	t.Logf("killed at %d points", len(all)-1)
}

// undone waits until no journal is there and nobody holds the lock.
func undone(t *testing.T) {
	t.Helper()
	until(t, "the guardian has undone the change", func() bool {
		return len(filesIn(DefaultDir)) == 0
	})
}

// Confirming from another connection keeps the change; from the same one it is
// refused; and the guardian goes.
func TestConfirm(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	program(t)
	before := snapshot(t)
	mine := "SSH_CONNECTION=10.9.0.1 4444 10.9.0.2 22"
	if out, err := run(t, "create", envConfirm+"=1m", mine); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := run(t, "create"); err == nil || !strings.Contains(out, "waits for confirmation") {
		t.Errorf("another change meanwhile: %v: %s", err, out)
	}
	if out, err := run(t, "confirm", mine); err == nil || !strings.Contains(out, "proves nothing") {
		t.Errorf("confirmed from the same connection: %v: %s", err, out)
	}
	if out, err := run(t, "confirm", "SSH_CONNECTION=10.9.0.1 5555 10.9.0.2 22"); err != nil {
		t.Errorf("confirm: %v: %s", err, out)
	}
	if out, err := run(t, "confirm"); err == nil || !strings.Contains(out, "no change waits") {
		t.Errorf("confirmed twice: %v: %s", err, out)
	}
	until(t, "the guardian has gone", func() bool { return guardians() == 0 })
	if s, err := ReadState(DefaultDir); err != nil || len(s.Objects) != 4 {
		t.Fatalf("state: %+v, %v", s, err)
	}
	if out, err := run(t, "cancel"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same(t, "cancelled", before, snapshot(t))
}

// guardians counts the guardians that run.
func guardians() (n int) {
	for _, dir := range filesIn("/proc") {
		pid, err := strconv.Atoi(strings.TrimPrefix(dir, "/proc/"))
		if err != nil {
			continue
		}
		if _, err := describe(pid); err != nil {
			continue // it is gone, or waits to be buried
		}
		env, _ := os.ReadFile(dir + "/environ")
		if strings.Contains(string(env), envScenario+"=guardian") {
			n++
		}
	}
	return n
}

// echo answers on a TCP port and returns the address to which far connects.
func echo(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", ":7777")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
}

// admin is a TCP connection from the far end, over the uplink.
type admin struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func dialAdmin(t *testing.T, address string) *admin {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", "far", "/proc/self/exe", "x")
	cmd.Args = []string{"ip", "netns", "exec", "far", exe()}
	cmd.Env = append(os.Environ(), envScenario+"=dial", "DIAL="+address)
	a := &admin{cmd: cmd}
	var err error
	a.in, err = cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	a.out = bufio.NewReader(out)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { a.in.Close(); _ = cmd.Wait() })
	return a
}

// ask sends a line and waits for it to come back.
func (a *admin) ask(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(a.in, line+"\n")
	must(t, err)
	got, err := a.out.ReadString('\n')
	if err != nil || got != line+"\n" {
		t.Fatalf("%q came back as %q, %v", line, got, err)
	}
}

func init() {
	// A connection between the standard files and an address.
	scenarios["dial"] = func() error {
		c, err := net.DialTimeout("tcp", os.Getenv("DIAL"), patience)
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(c, os.Stdin); os.Exit(0) }()
		_, err = io.Copy(os.Stdout, c)
		return err
	}
	// Asks every millisecond and prints the longest time without an answer.
	scenarios["gap"] = func() error {
		c, err := net.Dial("udp", os.Getenv("DIAL"))
		if err != nil {
			return err
		}
		go func() {
			for i := 0; ; i++ {
				_, _ = fmt.Fprint(c, i)
				time.Sleep(time.Millisecond)
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); unix.Shutdown(0, 0); fmt.Println("end"); os.Exit(0) }()
		last, longest := time.Now(), time.Duration(0)
		b := make([]byte, 64)
		for n := 0; ; n++ {
			if _, err := c.Read(b); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
				return err
			}
			now := time.Now()
			if d := now.Sub(last); n > 0 && d > longest {
				longest = d
				fmt.Printf("gap %v\n", d)
			}
			if last = now; n == 0 {
				fmt.Println("ready")
			}
		}
	}
}

// An established TCP connection over the uplink, IPv4 and IPv6, lives through
// the move and back; and the host is never silent for long.
func TestMoveKeepsConnections(t *testing.T) {
	if !alone(t) {
		return
	}
	farWorld(t)
	program(t)
	echo(t)
	pc, err := net.ListenPacket("udp", ":7777")
	must(t, err)
	defer pc.Close()
	go func() {
		b := make([]byte, 64)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(b[:n], from)
		}
	}()
	admins := []*admin{dialAdmin(t, "10.9.0.2:7777"), dialAdmin(t, "10.8.0.1:7777"), dialAdmin(t, "[2001:db8::2]:7777")}
	ask := func(text string) {
		for _, a := range admins {
			a.ask(t, text)
		}
	}
	ask("before")
	gap := exec.Command("ip", "netns", "exec", "far", exe())
	gap.Env = append(os.Environ(), envScenario+"=gap", "DIAL=10.9.0.2:7777")
	stdin, err := gap.StdinPipe()
	must(t, err)
	stdout, err := gap.StdoutPipe()
	must(t, err)
	must(t, gap.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "ready" {
	}
	for i := range 5 {
		if out, err := run(t, "create"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		ask(fmt.Sprint("moved ", i))
		if out, err := run(t, "cancel"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		ask(fmt.Sprint("moved back ", i))
	}
	stdin.Close()
	longest := time.Duration(0)
	for lines.Scan() && lines.Text() != "end" {
		d, err := time.ParseDuration(strings.TrimPrefix(lines.Text(), "gap "))
		must(t, err)
		longest = max(longest, d)
	}
	_ = gap.Wait()
	t.Logf("longest silence in 10 moves: %v", longest)
	if longest > time.Second { // far more than the move takes, for machines that do other things, too
		t.Errorf("the host was silent for %v", longest)
	}
}

// A change that cuts the admin off is undone in time, every time, whatever cut
// it: here somebody takes the bridge's addresses away as soon as it is done.
func TestCutOff(t *testing.T) {
	if !alone(t) {
		return
	}
	sh(t, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
	farWorld(t)
	program(t)
	echo(t)
	before := snapshot(t)
	a := dialAdmin(t, "10.9.0.2:7777")
	a.ask(t, "before")
	const limit = 200 * time.Millisecond
	slowest := time.Duration(0)
	for i := range 20 {
		cut := "applied=ip address flush dev br0 scope global; ip link set up0 nomaster"
		if out, err := run(t, "create", envConfirm+"="+limit.String(), envBreak+"="+cut); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		begin := time.Now()
		undone(t)
		slowest = max(slowest, time.Since(begin))
		dialAdmin(t, "10.9.0.2:7777").ask(t, "again")
		a.ask(t, fmt.Sprint("still here ", i))
	}
	same(t, "cut off 20 times", before, snapshot(t))
	t.Logf("20 of 20 back, the slowest %v after the change; the time to confirm was %v", slowest, limit)
	if slowest > limit+2*time.Second {
		t.Errorf("back after %v only", slowest)
	}
}

// Without a guardian nothing begins.
func TestGuardianThatDoesNotStart(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	before := snapshot(t)
	for _, command := range [][]string{nil, {"/nonexistent"}, {"/bin/true"}} {
		e := engine(t)
		e.Guardian = command
		s, err := e.Begin(t.Context())
		must(t, err)
		p := NewPlan("test")
		p.Confirm = time.Minute
		_, err = e.Host.PlanBridge(p, BridgeWish{Name: "br0", Uplink: "up0"})
		must(t, err)
		if err := e.Apply(context.Background(), s, p); err == nil || !strings.Contains(err.Error(), "guardian") {
			t.Errorf("%v: %v", command, err)
		}
		e.End()
		same(t, fmt.Sprint(command), before, snapshot(t))
	}
}
