package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// newsReader collects what a console tells unasked.
type newsReader struct {
	conn  net.Conn
	mu    sync.Mutex
	lines []string // guarded by mu
}

// readNews opens a console and asks for news of what begins with prefix.
func readNews(t *testing.T, socket, prefix string) *newsReader {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := &newsReader{conn: conn}
	asked := make(chan struct{})
	go func() {
		in := bufio.NewScanner(conn)
		for in.Scan() {
			text := strings.TrimPrefix(in.Text(), "vde$ ")
			switch {
			case text == "1000 Success":
				close(asked)
			case strings.HasPrefix(text, "30"):
				r.mu.Lock()
				r.lines = append(r.lines, text)
				r.mu.Unlock()
			}
		}
	}()
	if _, err := io.WriteString(conn, "debug/add "+prefix+"\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	return r
}

// take waits until the last of what came is this line, and takes all.
func (r *newsReader) take(t *testing.T, last string) (list []string) {
	t.Helper()
	eventually(t, "the console tells "+last, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Contains(r.lines, last) {
			return false
		}
		list, r.lines = r.lines, nil
		return true
	})
	return list
}

// vde_autolink keeps a cable between two switches and lives on what their
// consoles tell of the spanning tree: it is told the same, in the same order, by
// Debian's vde_switch and by us.
func TestAutolinkAndNewsOfTrees(t *testing.T) {
	need(t, "vde_switch", "vde_autolink", "vde_plug", "dpipe")
	for name, make := range map[string]func(args ...string) *exec.Cmd{
		"vde_switch": func(args ...string) *exec.Cmd { return exec.Command("vde_switch", args...) },
		"vswitch":    asVDE,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testNewsOfTrees(t, make)
		})
	}
}

func testNewsOfTrees(t *testing.T, program func(args ...string) *exec.Cmd) {
	dir := tempDir(t)
	for i := range 2 { // the second has the better address, and so is the root
		file := func(name string) string { return filepath.Join(dir, fmt.Sprint(name, i)) }
		startDaemon(t, file("pid"), program("-s", file("sw"), "-M", file("mgmt"), "-p", file("pid"), "-F", "-d", "--macaddr", fmt.Sprintf("00:ff:00:00:00:0%d", 2-i)))
	}
	us, root, mgmt := filepath.Join(dir, "sw0"), filepath.Join(dir, "sw1"), filepath.Join(dir, "mgmt0")
	told := readNews(t, mgmt, "fstp")
	rc := filepath.Join(dir, "rc")
	writeFile(t, rc, "addwire cable dpipe vde_plug --port $myport $mysock = vde_plug $remotehost\n"+
		"addlink uplink "+root+"\naddtypelink uplink cable\nlinkonoff uplink 1\n")
	autolink := filepath.Join(dir, "autolink")
	var said lockedBuffer
	link := exec.Command("vde_autolink", "-f", rc, "-M", autolink, "-s", us, "-S", mgmt)
	link.Stderr = &said
	stop := startGroup(t, link)
	const best, own = "80:00:00:ff:00:00:00:01", "80:00:00:ff:00:00:00:02"
	check := func(what, last string, want ...string) {
		t.Helper()
		got := told.take(t, last)
		// We may tell that a port waits for its neighbour's consent.
		got = slices.DeleteFunc(got, func(line string) bool { return strings.HasSuffix(line, "Port 0001 VLAN 00:00 discarding") })
		if !slices.Equal(got, append(want, last)) {
			t.Errorf("%s is told as\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(append(want, last), "\n"))
		}
	}
	check("a cable", "3044 fstp/status Port 0001 VLAN 00:00 learning+forwarding",
		"3041 fstp/+ Port 0001 VLAN 00:00", "3045 fstp/root Port 0001 VLAN 00:00 -> "+best)
	eventually(t, "vde_autolink has seen its cable", func() bool { return strings.Contains(said.String(), "received fstp/+ for port 1") })
	second := startGroup(t, exec.Command("dpipe", "vde_plug", us, "=", "vde_plug", root))
	check("a second cable", "3044 fstp/status Port 0002 VLAN 00:00 discarding", "3041 fstp/+ Port 0002 VLAN 00:00")
	second()
	check("its end", "3042 fstp/- Port 0002 VLAN 00:00")
	stop()
	endWire(t, us)
	check("the end of the first", "3045 fstp/root Port 0000 VLAN 00:00 -> "+own, "3042 fstp/- Port 0001 VLAN 00:00")
}

// endWire ends the cable that vde_autolink has started, a process group, which
// is known by the directory that it plugs into.
func endWire(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil || !strings.HasPrefix(string(text), "dpipe\x00") || !strings.Contains(string(text), "\x00"+dir+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil {
			err = syscall.Kill(-pid, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no cable is left to end")
}

// startDaemon has a switch go to the background, and ends it with the test.
// vde_switch returns before it has written its pid file.
func startDaemon(t *testing.T, pidfile string, cmd *exec.Cmd) {
	t.Helper()
	if _, stderr, code := runCmd(t, cmd); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	eventually(t, "the pid file is written", func() bool { text, _ := os.ReadFile(pidfile); return strings.HasSuffix(string(text), "\n") })
	pid := readPid(t, pidfile)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
}

// startGroup starts cmd with all that it will start, and returns what ends them.
func startGroup(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // what it started may have its standard error, and ends with the switches
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}
