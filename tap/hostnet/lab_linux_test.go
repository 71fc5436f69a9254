package hostnet

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// Environment of the processes that tests start from their own binary.
const (
	envInside   = "HOSTNET_TEST_INSIDE"   // in namespaces of its own
	envScenario = "HOSTNET_TEST_SCENARIO" // what to do instead of testing
	envDie      = "HOSTNET_TEST_DIE"      // at which point to be killed
	envTrace    = "HOSTNET_TEST_TRACE"    // file for the points that were passed
	envConfirm  = "HOSTNET_TEST_CONFIRM"  // time for confirming
	envBreak    = "HOSTNET_TEST_BREAK"    // "POINT=shell command": sabotage
)

// TestMain is the tests; or a run, a guardian or a daemon for them.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "daemon" {
		os.Exit(daemon(os.Args[2]))
	}
	if name := os.Getenv(envScenario); name != "" {
		if err := scenarios[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// They wait for the kernel more than they use it.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	os.Exit(m.Run())
}

// daemon stands for a switch: a socket, and an orderly end.
func daemon(path string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM) // first: who finds the socket may end us
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-stop
	ln.Close()
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // the race detector would wait a second
	return 0
}

// isolated runs the test again in network, mount and process namespaces of its
// own, with an empty /run, and returns true there. They vanish with that
// process, and all that it started with them. So such tests run beside each
// other.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envInside) != t.Name() {
		t.Parallel()
	}
	return alone(t)
}

// alone is isolated for tests that measure time.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envInside) == t.Name() {
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
		must(t, unix.Mount("proc", "/proc", "proc", 0, ""))
		must(t, unix.Mount("sysfs", "/sys", "sysfs", 0, ""))
		sh(t, "ip link set lo up")
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces here")
	}
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.timeout", "200s"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envInside+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("inside: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("inside:\n%s", out)
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sh runs shell commands and returns what they print.
func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// farWorld makes a host with one uplink that has everything an uplink can have,
// and what is at its other end.
func farWorld(t *testing.T) {
	t.Helper()
	sh(t, `
ip netns add far
ip link add up0 address 02:00:00:00:00:02 mtu 1400 type veth peer name far0 netns far
ip -n far link set lo up
ip -n far link set far0 mtu 1400 up
ip -n far address add 10.9.0.1/24 dev far0
ip -n far address add 2001:db8::1/64 dev far0 nodad
ip -n far address add fe80::1/64 dev far0 nodad
ip -n far route add 10.8.0.0/16 via 10.9.0.2
ip link set up0 alias 'the way out' up
sysctl -qw net.ipv4.conf.up0.rp_filter=2 net.ipv6.conf.up0.accept_ra=2
ip address add 10.9.0.2/24 brd + dev up0
ip address add 10.9.0.3/24 dev up0
ip address add 10.9.0.4/24 dev up0 label up0:web
ip address add 10.8.0.1/32 dev up0 noprefixroute
ip address add 10.7.0.1 peer 10.7.0.9/32 dev up0 metric 77
ip address add 2001:db8::2/64 dev up0
ip address add 2001:db8::3/64 dev up0 valid_lft 7200 preferred_lft 3600
ip address add 2001:db8:1::2/64 dev up0 nodad noprefixroute
ip route add default via 10.9.0.1 metric 100 proto static mtu lock 1300 advmss 1200
ip route add default via 10.9.0.1 metric 200 src 10.9.0.3
ip route add 192.0.2.0/24 via 10.7.0.9 proto dhcp
ip route add 198.51.100.0/24 via 203.0.113.1 dev up0 onlink
ip route add 203.0.113.0/28 dev up0 scope link table 100
ip route add default via 10.9.0.1 dev up0 table 100 initcwnd 20
ip route add 192.0.2.64/26 nexthop via 10.9.0.1 dev up0 weight 3 nexthop via 10.9.0.77 dev up0
ip route add unreachable 10.66.0.0/16
ip -6 route add default via fe80::1 dev up0 metric 50 proto static
ip -6 route add 2001:db8:2::/64 via 2001:db8::1 dev up0 table 200 metric 7
ip -6 route add 2001:db8:3::/64 dev up0 proto ra expires 3000
ip rule add iif up0 lookup 100 priority 1000
ip rule add from 10.9.0.3 lookup 100 priority 1001
ip -6 rule add oif up0 lookup 200 priority 1002
ip neigh add 10.9.0.77 lladdr 02:00:00:00:00:77 dev up0 nud permanent
ip -6 neigh add 2001:db8::77 lladdr 02:00:00:00:00:77 dev up0 nud permanent
`)
	settled(t)
}

// settled waits until the kernel has done what it does by itself some time after
// a change: whoever has a carrier has a link-local address, and no address is
// being tried out any more.
func settled(t *testing.T) {
	t.Helper()
	until(t, "the kernel has come to rest", func() bool {
		var links []struct {
			Name      string                   `json:"ifname"`
			Flags     []string                 `json:"flags"`
			Operstate string                   `json:"operstate"`
			Addrs     []struct{ Scope string } `json:"addr_info"`
		}
		must(t, json.Unmarshal([]byte(sh(t, "ip -j address")), &links))
		for _, l := range links {
			if l.Name == "lo" || !slices.Contains(l.Flags, "LOWER_UP") {
				continue
			}
			if l.Operstate != "UP" || !slices.ContainsFunc(l.Addrs, func(a struct{ Scope string }) bool { return a.Scope == "link" }) {
				return false
			}
		}
		return strings.TrimSpace(sh(t, "ip -6 address show tentative; ip -n far -6 address show tentative 2>/dev/null || true")) == ""
	})
}

var ticking = regexp.MustCompile(`"(valid_life_time|preferred_life_time|expires)":\s*(\d+)`)

var timers = regexp.MustCompile(`"([a-z_]+)_timer":[0-9.]+`)

// snapshot is the host's network in the words of ip, and what is in /run. What
// ticks is reduced to whether it does.
func snapshot(t *testing.T) string {
	t.Helper()
	settled(t)
	var b strings.Builder
	for _, what := range []string{"address", "-d link", "-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule", "neigh show nud permanent"} {
		text := sh(t, "ip -j "+what)
		text = ticking.ReplaceAllStringFunc(text, func(s string) string {
			if strings.HasSuffix(s, fmt.Sprint(uint32(forever))) {
				return s
			}
			return ticking.ReplaceAllString(s, `"$1":"ticking"`)
		})
		text = timers.ReplaceAllString(text, `"$1_timer":0`)
		var list []json.RawMessage
		must(t, json.Unmarshal([]byte(text), &list))
		if strings.Contains(what, "route") { // in tables whose order depends on history
			slices.SortFunc(list, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
		}
		fmt.Fprintf(&b, "ip %s\n", what)
		for _, item := range list {
			fmt.Fprintf(&b, "  %s\n", item)
		}
	}
	b.WriteString(sh(t, "find /run -not -name '*.log' | sort; grep -rs . /proc/sys/net/ipv4/conf/up0 /proc/sys/net/ipv6/conf/up0 | grep -v stable_secret | sort"))
	return b.String()
}

// same fails with the lines that are different.
func same(t *testing.T, when, want, got string) bool {
	t.Helper()
	if want == got {
		return true
	}
	var diff []string
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range a {
		if !slices.Contains(b, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			diff = append(diff, "+ "+line)
		}
	}
	t.Errorf("%s: not as before:\n%s", when, strings.Join(diff, "\n"))
	return false
}

// engine is one on the test's host.
func engine(t testing.TB) *Engine {
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return &Engine{Host: h, Dir: DefaultDir, Lib: testLib}
}

// run starts the test's binary for a scenario and returns what it printed and
// how it ended.
func run(t *testing.T, scenario string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, envScenario+"="+scenario)...)
	out, err := os.CreateTemp("/run", ".out") // not a pipe: guardians would hold it open
	must(t, err)
	defer out.Close()
	must(t, os.Remove(out.Name()))
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	_, _ = out.Seek(0, io.SeekStart)
	text, _ := io.ReadAll(out)
	return string(text), err
}

func killed(err error) bool {
	var exit *exec.ExitError
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec returns it bare
		exit = e
	}
	return exit != nil && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// program copies the test's binary to where every user can run it.
func program(t *testing.T) string {
	t.Helper()
	path := "/run/hostnet.test"
	in, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(path, in, 0o755))
	return path
}

func filesIn(dir string) []string {
	list, _ := filepath.Glob(filepath.Join(dir, "*"))
	return list
}
