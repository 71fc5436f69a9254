package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vnetkit/remote/shell"
	"vnetkit/remote/sshtest"
)

// reach is the SSH of a lab, with connections that wait.
func reach(t *testing.T, lab *sshtest.Lab) *SSH {
	t.Helper()
	env := lab.Environ()
	dir, err := ControlDir(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return &SSH{Command: lab.Command(), Dir: dir, Persist: time.Minute}
}

// do runs words on a host and returns what they print.
func do(ctx context.Context, s *SSH, h string, words ...string) (stdout, stderr string, code int, err error) {
	var out, errs bytes.Buffer
	code, err = s.Run(ctx, Run{Host: Host{Name: h}, Words: words, Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), code, err
}

// until polls a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// limit is a context that ends with ErrTimeout.
func limit(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, ErrTimeout)
	t.Cleanup(cancel)
	return ctx
}

// One server is enough for what does not differ from host to host.
func TestRun(t *testing.T) {
	lab := sshtest.New(t)
	far := lab.Start("far", sshtest.Options{})
	s := reach(t, lab)

	t.Run("arguments arrive as they are", func(t *testing.T) {
		out, errs, code, err := do(t.Context(), s, "far", append([]string{"printf", `%s\0`}, sshtest.Wicked...)...)
		if got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"); err != nil || code != 0 || !slices.Equal(got, sshtest.Wicked) {
			t.Errorf("exit %d, %v, %s: %q", code, err, errs, got)
		}
	})
	t.Run("exit code and both outputs", func(t *testing.T) {
		out, errs, code, err := do(t.Context(), s, "far", "sh", "-c", "echo to out; echo to err >&2; exit 7")
		if out != "to out\n" || errs != "to err\n" || code != 7 || err != nil {
			t.Errorf("%q, %q, exit %d, %v", out, errs, code, err)
		}
	})
	t.Run("one connection serves many runs, but for a fresh one", func(t *testing.T) {
		way := func(fresh bool) string {
			var out bytes.Buffer
			if code, err := s.Run(t.Context(), Run{Host: Host{Name: "far"}, Words: []string{"sh", "-c", "echo $SSH_CONNECTION"}, Stdout: &out, Fresh: fresh}); err != nil || code != 0 {
				t.Fatalf("exit %d, %v", code, err)
			}
			return out.String()
		}
		first := way(false)
		if again := way(false); again != first {
			t.Errorf("came by %q, then by %q", first, again)
		}
		if fresh := way(true); fresh == first {
			t.Errorf("a fresh run came by the same connection %q", fresh)
		}
	})
	t.Run("control sockets are short and private", func(t *testing.T) {
		sockets, _ := filepath.Glob(s.Dir + "/*")
		if len(sockets) == 0 {
			t.Fatal("there is none")
		}
		for _, path := range sockets {
			if len(path) > maxControl {
				t.Errorf("%s has %d bytes", path, len(path))
			}
		}
		if fi, err := os.Stat(s.Dir); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", fi, err)
		}
	})
	t.Run("standard input says hello and stays open until the end", func(t *testing.T) {
		mark := filepath.Join(far.Home, "told")
		ctx, cancel := context.WithCancel(t.Context())
		var out sshtest.Output
		var code int
		var err error
		var wait sync.WaitGroup
		wait.Go(func() {
			code, err = s.Run(ctx, Run{Host: Host{Name: "far"}, Hello: "hello\n", Stdout: &out,
				Words: []string{"sh", "-c", `read word; echo "$word"; cat; echo told >` + mark}})
		})
		until(t, "hello arrives", func() bool { return out.String() == "hello\n" })
		if _, err := os.Stat(mark); err == nil {
			t.Error("its input ended by itself")
		}
		cancel()
		wait.Wait()
		if b, _ := os.ReadFile(mark); string(b) != "told\n" || !errors.Is(err, context.Canceled) {
			t.Errorf("the other side was not told: %q, exit %d, %v", b, code, err)
		}
	})
	t.Run("who does not heed it is cut off", func(t *testing.T) {
		pidfile := filepath.Join(far.Home, "pid")
		begin := time.Now()
		_, _, _, err := do(limit(t, 2*time.Second), s, "far", "sh", "-c", "echo $$ >"+pidfile+"; exec sleep 1000")
		if !errors.Is(err, ErrTimeout) || time.Since(begin) > 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		b, _ := os.ReadFile(pidfile)
		_ = exec.Command("kill", strings.TrimSpace(string(b))).Run()
		if _, _, code, err := do(t.Context(), s, "far", "true"); code != 0 || err != nil {
			t.Errorf("afterwards: exit %d, %v", code, err)
		}
	})
	t.Run("a cut connection", func(t *testing.T) {
		_, _, code, err := do(t.Context(), s, "far", "sh", "-c", `echo begun; kill -9 $PPID`)
		if code != ConnectionFailed || err != nil {
			t.Errorf("exit %d, %v", code, err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		lab.Alias("127.0.0.1", "1", "closed")
		_, errs, code, err := do(t.Context(), s, "closed", "true")
		if code != ConnectionFailed || err != nil || !strings.Contains(errs, "refused") {
			t.Errorf("exit %d, %v, %q", code, err, errs)
		}
	})
	t.Run("no such program", func(t *testing.T) {
		_, _, _, err := do(t.Context(), &SSH{Command: []string{"/nonexistent/ssh"}}, "far", "true")
		if err == nil || !strings.Contains(err.Error(), "start /nonexistent/ssh") {
			t.Error(err)
		}
	})
}

// slowReader takes its time for the first piece.
type slowReader struct {
	sync.Mutex
	pause time.Duration
	n     int
}

func (r *slowReader) Write(p []byte) (int, error) {
	r.Lock()
	defer r.Unlock()
	time.Sleep(r.pause)
	r.pause = 0
	r.n += len(p)
	return len(p), nil
}

// Nothing is lost when who reads is slower than what is printed, and nobody waits
// for one who holds the pipe open and prints nothing.
func TestRunOutput(t *testing.T) {
	t.Parallel() // it waits much
	ssh := filepath.Join(t.TempDir(), "ssh")
	script := "#!/bin/sh\nhead -c 200000 /dev/zero; head -c 50000 /dev/zero >&2\n[ ! -e " + ssh + "-holds ] || sleep 100 & echo $! >" + ssh + "-pid\n"
	if err := os.WriteFile(ssh, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, holds := range []bool{false, true} {
		if holds {
			if err := os.WriteFile(ssh+"-holds", nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = exec.Command("sh", "-c", "kill $(cat "+ssh+"-pid)").Run() })
		out, errs := &slowReader{pause: 3 * afterItsOutput / 2}, &slowReader{pause: 3 * afterItsOutput / 2}
		code, err := (&SSH{Command: []string{ssh}}).Run(limit(t, time.Minute), Run{Host: Host{Name: "h"}, Stdout: out, Stderr: errs})
		if code != 0 || err != nil || out.n != 200000 || errs.n != 50000 {
			t.Errorf("held open %v: exit %d, %v: %d and %d bytes", holds, code, err, out.n, errs.n)
		}
	}
}

// The user's options win over ours.
func TestSSHArguments(t *testing.T) {
	s := &SSH{Command: []string{"ssh", "-o", "BatchMode=no"}, Dir: "/d", Persist: time.Minute}
	line := shell.Quote(s.args(Host{User: "u", Name: "::1", Port: 7}, false, false, "a b", "c"))
	if !strings.HasPrefix(line, "-o BatchMode=no -o ControlMaster=auto -o ControlPath=/d/") || !strings.HasSuffix(line, ` -l u -p 7 -- ::1 ''\''a b'\'' c'`) {
		t.Error(line)
	}
	if try := shell.Quote(s.Try(Host{User: "u", Name: "::1", Port: 7}, "true")); try != "ssh -o BatchMode=no -l u -p 7 ::1 true" {
		t.Error(try)
	}
	other := &SSH{Command: []string{"ssh", "-F", "x"}, Dir: "/d", Persist: time.Minute}
	if s.control() == other.control() {
		t.Error("two ssh commands share a connection")
	}
	if line := shell.Quote(s.args(Host{Name: "h"}, true, false)); !strings.Contains(line, "ControlPath=none") {
		t.Error(line)
	}
}

func TestControlDir(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("x", 80))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := ControlDir(func(string) string { return long })
	if err != nil || !strings.HasPrefix(got, "/tmp/vnetctl-ssh-") {
		t.Errorf("%s, %v: want a short one", got, err)
	}
	short, err := os.MkdirTemp("/tmp", "cd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	path := fmt.Sprintf("%s/vnetctl-ssh-%d", short, os.Geteuid())
	if err := os.Mkdir(path, 0o755); err != nil { // others may look into it
		t.Fatal(err)
	}
	if got, err := ControlDir(func(string) string { return short }); err != nil || got == path {
		t.Errorf("%s, %v", got, err)
	}
}

func TestEach(t *testing.T) {
	hosts := make([]Host, 50)
	var now, most, sum atomic.Int64
	gate := make(chan struct{})
	go func() {
		for range hosts {
			gate <- struct{}{}
		}
	}()
	Each(hosts, 4, func(i int, _ Host) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-gate
		sum.Add(int64(i))
		now.Add(-1)
	})
	if most.Load() > 4 || sum.Load() != 49*50/2 {
		t.Errorf("%d at a time, sum %d", most.Load(), sum.Load())
	}
}

func TestSpool(t *testing.T) {
	var s Spool
	var want bytes.Buffer
	for i := range 100 {
		line := []byte(strings.Repeat(fmt.Sprint(i), 3000))
		want.Write(line)
		if _, err := s.Write(line); err != nil {
			t.Fatal(err)
		}
		if i == 50 && (s.file == nil || len(s.mem) > spoolMemory) {
			t.Errorf("%d bytes in memory", len(s.mem))
		}
	}
	var got bytes.Buffer
	if err := s.Release(&got); err != nil {
		t.Fatal(err)
	}
	want.WriteString("more")
	if _, err := s.Write([]byte("more")); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%v, %d bytes, want %d", err, got.Len(), want.Len())
	}
	var full Spool
	defer full.Close()
	chunk := make([]byte, 1<<20)
	for range MaxOutput >> 20 {
		if _, err := full.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := full.Write(chunk[:1]); !errors.Is(err, ErrTooMuch) {
		t.Errorf("%v", err)
	}
}
