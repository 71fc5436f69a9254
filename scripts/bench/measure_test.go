//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be what the bench binary is: its own workers, and a whole bench.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && subcommands[os.Args[1]] != nil || len(os.Args) > 1 && os.Args[1] == "--whole" {
		args := os.Args[1:]
		if args[0] == "--whole" {
			args = args[1:]
		}
		runtime.LockOSThread()
		if err := run(args); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testBed(t *testing.T) *bed {
	t.Helper()
	runtime.LockOSThread()
	t.Setenv("TMPDIR", t.TempDir()) // its own lock: a bench that runs beside the tests does not hold them up
	b, err := newBed(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.close()
		if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there", b.dir)
		}
	})
	return b
}

func TestMeasureThroughTheCopyProgram(t *testing.T) {
	b := testBed(t)
	pe := &peer{name: "copy", start: startCopy}
	for _, p := range []*plan{
		{jobs: pairJobs(1, 64, 64)}, {jobs: pairJobs(2, 1514, 1)}, {jobs: pairJobs(1, 9014, 64), tcp: true}, {jobs: manyMACs(pairJobs(1, 512, 64))},
	} {
		p.warm, p.dur = 50*time.Millisecond, 150*time.Millisecond
		o, err := b.measure(pe, p)
		if err != nil {
			t.Fatal(err)
		}
		v := o.traffic()
		if v[mFPS] < 1000 || v[mLost] != 0 || v[mDamage] != 0 || v[mCPU] <= 0 || v[mRSS] <= 0 {
			t.Errorf("%d bytes: %v", p.jobs[0].Size, v)
		}
	}
	o, err := b.measure(pe, &plan{jobs: rttJobs(64), warm: 50 * time.Millisecond, dur: 150 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if v := o.traffic(); v[mP50] <= 0 || v[mP99] < v[mP50] || v["pings"] < 10 {
		t.Errorf("round trips: %v", v)
	}
}

func TestMeasureReportsASwitchThatDies(t *testing.T) {
	b := testBed(t)
	pe := &peer{name: "dying", start: func(b *bed, _ *plan) (*running, error) {
		run, err := startProgram(b, exec.Command("sh", "-c", "echo no such luck >&2; exit 3"), func(int) linkSpec {
			return linkSpec{Kind: "unix", Addr: filepath.Join(b.dir, "nothing")}
		})
		for end := time.Now().Add(30 * time.Second); err == nil && run.proc.dead() == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // a busy machine has not even run it when the clients give up
		}
		return run, err
	}}
	_, err := b.measure(pe, &plan{jobs: pairJobs(1, 64, 64), ready: 100 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("error %v does not say what the switch said", err)
	}
}

// children are the direct children of a process, over all its threads.
func children(pid int) (out []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, f := range strings.Fields(string(b)) {
			var child int
			fmt.Sscan(f, &child)
			out = append(out, child)
		}
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in ten seconds: %s", what)
		}
	}
}

func TestNothingSurvivesTheBench(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			tmp := t.TempDir()
			cmd := exec.Command(selfProgram, "--whole", "--peers", "copy", "--filter", "^pair/64/64$", "--count", "1", "--duration", "1m")
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var kids []int
			eventually(t, "copy, receiver and sender run", func() bool { kids = children(cmd.Process.Pid); return len(kids) == 3 })
			cmd.Process.Signal(sig)
			cmd.Wait()
			eventually(t, "its children are gone", func() bool {
				for _, k := range kids {
					if unix.Kill(k, 0) == nil && !isZombie(k) {
						return false
					}
				}
				return true
			})
			sweepBeds(tmp) // what the next bench does; after a SIGTERM there must be nothing to do
			if left, _ := filepath.Glob(filepath.Join(tmp, bedPrefix+"*[0-9]")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func isZombie(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args []string
		bad  bool
	}{
		{nil, false}, {[]string{"--quick", "--filter", "rtt"}, false}, {[]string{"--count", "0"}, true},
		{[]string{"extra"}, true}, {[]string{"--duration", "-1s"}, true}, {[]string{"--nonsense"}, true},
	} {
		if _, err := parse(c.args); (err != nil) != c.bad {
			t.Errorf("%v: %v", c.args, err)
		}
	}
	o, err := parse([]string{"--peers", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.selectPeers(); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("unknown peer: %v", err)
	}
	o, _ = parse([]string{"--filter", "no such scenario"})
	if _, err := o.selectScenarios([]*peer{{name: "copy"}}); err == nil {
		t.Error("a filter that matches nothing was taken")
	}
}
