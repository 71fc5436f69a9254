package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vnetkit/remote/sshtest"
)

// BenchmarkRemoteList is vnetctl list on many hosts, all of them one sshd under
// many addresses of the loopback. -benchtime 5x is enough. Ways:
//
//	list    as people type it: there is one switch, whose frames are counted for 0.2 s
//	warm    with --interval 0: nothing but the way there; all hosts share this machine's CPUs
//	cold    the same, when no connections wait from the run before
//	ssh     plain ssh to all hosts at once, for comparison, cold
//
// MiB is the most memory that vnetctl itself had.
func BenchmarkRemoteList(b *testing.B) {
	lab := sshtest.New(b)
	bin := lab.Dir + "/bin"
	if out, err := exec.Command("go", "build", "-o", bin+"/", "vnetkit/cmd/vnetctl", "vnetkit/cmd/vswitch").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	h := lab.Start("one", sshtest.Options{Bin: bin, Setup: "setpriv --pdeathsig KILL " + bin + "/vswitch --name lab --quiet &\n" +
		"for i in $(seq 600); do [ ! -S /run/vswitch/lab/api ] || break; sleep 0.05; done"})
	lab.Configure(fmt.Sprintf("Host 127.0.1.*\n  Port %s\n  HostKeyAlias one\n", h.Port))
	var env []string
	for k, v := range lab.Environ() {
		env = append(env, k+"="+v)
	}
	list := func(b *testing.B, hosts int, more ...string) (rss int64) {
		cmd := exec.Command(bin+"/vnetctl", append([]string{"list", "-r", fmt.Sprintf("127.0.1.[1-%d]", hosts)}, more...)...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	}
	forget := func() {
		sockets, _ := filepath.Glob(lab.Dir + "/vnetctl-ssh-*/*")
		var wait sync.WaitGroup
		for _, s := range sockets {
			wait.Go(func() { _ = exec.Command("ssh", "-F", "none", "-S", s, "-O", "exit", "x").Run() })
		}
		wait.Wait()
	}
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprintf("list/%d", n), func(b *testing.B) {
			list(b, n)
			for b.Loop() {
				list(b, n)
			}
		})
	}
	for _, n := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("warm/%d", n), func(b *testing.B) {
			list(b, n, "--interval=0")
			var most int64
			for b.Loop() {
				most = max(most, list(b, n, "--interval=0"))
			}
			b.ReportMetric(float64(most)/1024, "MiB")
		})
	}
	b.Run("cold/20", func(b *testing.B) {
		var sum time.Duration
		for b.Loop() {
			forget()
			begin := time.Now()
			list(b, 20, "--interval=0")
			sum += time.Since(begin)
		}
		b.ReportMetric(sum.Seconds()/float64(b.N), "s/run")
	})
	b.Run("ssh/20", func(b *testing.B) {
		var sum time.Duration
		for b.Loop() {
			begin := time.Now()
			var wait sync.WaitGroup
			for i := range 20 {
				wait.Go(func() {
					args := append(lab.Command()[1:], fmt.Sprintf("127.0.1.%d", i+1), "vnetctl list --interval 0")
					if out, err := exec.Command("ssh", args...).CombinedOutput(); err != nil && !strings.Contains(string(out), "no switch") {
						b.Errorf("%v: %s", err, out)
					}
				})
			}
			wait.Wait()
			sum += time.Since(begin)
		}
		b.ReportMetric(sum.Seconds()/float64(b.N), "s/run")
	})
	forget()
}
