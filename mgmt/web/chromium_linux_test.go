package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/loopback"
	"vnetkit/mgmt/mgmttest"
)

// chromium runs a headless browser on url and returns what it prints.
func chromium(t *testing.T, url string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: run scripts/deps test")
	}
	if testing.Short() {
		t.Skip("starts a browser: not with -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
		"--user-data-dir=" + t.TempDir()}, append(args, url)...)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	// What scripts complain about, and what the policy of the page forbids.
	if bad := regexp.MustCompile(`(?m)^.*CONSOLE.*$`).FindAllString(errs.String(), -1); bad != nil {
		t.Errorf("the page complains:\n%s", strings.Join(bad, "\n"))
	}
	return out.String()
}

// traffic keeps guests busy until the test ends.
func (l *lab) traffic(send func(round int)) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				send(round)
			}
		}
	}()
	l.t.Cleanup(sync.OnceFunc(func() { close(stop); <-done }))
}

// network is a switch with guests in three VLANs, a trunk, a mirror, a port
// that waits and one that is down, and frames between them.
func network(t *testing.T, write bool) *lab {
	l := start(t, write, loopback.Limits{})
	set := func(port int, body string) {
		t.Helper()
		if status := l.admin("PATCH", fmt.Sprint("/v1/ports/", port), body); status != http.StatusOK {
			t.Fatalf("%s: %d", body, status)
		}
	}
	var guests []*mgmttest.Guest
	for i, body := range []string{
		`{"name":"web-1"}`, `{"name":"web-2"}`, `{"name":"db","mac_limit":4}`,
		`{"name":"office-1","pvid":10,"tagged":"none"}`, `{"name":"office-2","pvid":10,"tagged":"none","mtu":400}`,
		`{"name":"guest-wifi","pvid":20,"tagged":"none","isolated":true}`, `{"name":"printer","pvid":20,"tagged":"none","isolated":true}`,
		`{"name":"uplink","tagged":"10+20"}`, `{"name":"ids","mirror":"web-1:both"}`, `{"name":"old-vm"}`, `{"name":"spare","down":true}`,
	} {
		g := l.Plug()
		set(g.Port, body)
		guests = append(guests, g)
		if i == 9 {
			g.Close()
			mgmttest.Until(t, "the guest has left", func() bool { return l.Info().Ports == 9 })
			if status := l.admin("POST", "/v1/ports", `{"spec":"stream:unix:`+filepath.Join(l.Dir, "old")+`,name=old-vm"}`); status != http.StatusCreated {
				t.Fatalf("add old-vm: %d", status)
			}
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, g) }() // ends with the guest
	}
	l.traffic(func(round int) {
		for i := range 12 + round%9 {
			guests[0].Send(1, 2, 1400)
			if i%3 == 0 {
				guests[1].Send(2, 1, 80)
			}
		}
		guests[2].Send(3, 8, 200+round%200)
		guests[7].Send(8, 3, 300)
		guests[3].Send(4, 5, []int{200, 900}[round%8/7])
		guests[4].Send(5, 4, 120)
		guests[5].Send(6, 7, 100)
		if round%20 == 0 {
			guests[6].Send(7, 0xff, 60)
		}
	})
	mgmttest.Until(t, "everybody is known", func() bool { return l.Info().FDBSize >= 7 })
	return l
}

// admin asks the API with the rights of the daemon.
func (l *lab) admin(method, path, body string) int {
	l.t.Helper()
	r, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	l.Server.AsDaemon().ServeHTTP(w, r)
	if w.Code >= 300 {
		l.t.Logf("%s %s %s: %s", method, path, body, w.Body)
	}
	return w.Code
}

// A ring that the spanning tree has broken shows: one of its ports is blocked.
func TestPageShowsBlockedPorts(t *testing.T) {
	l := start(t, false, loopback.Limits{})
	if status := l.admin("PATCH", "/v1/switch", `{"stp":{"mode":"rstp"}}`); status != http.StatusOK {
		t.Fatalf("switch on the spanning tree: %d", status)
	}
	a, b := l.Plug(), l.Plug() // the ends of one cable
	go func() { _, _ = io.Copy(a, b) }()
	go func() { _, _ = io.Copy(b, a) }()
	blocked := ""
	mgmttest.Until(t, "one of the two is blocked for good", func() bool {
		for _, p := range get[api.Ports](l, "/v1/ports").Ports {
			if p.STP != nil && p.STP.Role == "backup" && p.STP.State == "discarding" {
				blocked = fmt.Sprintf("port %d %s, blocked: backup", p.ID, p.Name)
			}
		}
		return blocked != ""
	})
	dom := chromium(t, l.url, "--virtual-time-budget=6000", "--dump-dom")
	for _, want := range []string{`aria-label="` + blocked + `"`, "<small>blocked: backup</small>"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%.20000s", dom)
	}
}

// The page in a browser shows the switch, the ports and their peers, runs
// under its own policy without a complaint and offers to capture only to those
// who may.
func TestPageInChromium(t *testing.T) {
	for _, write := range []bool{false, true} {
		t.Run(fmt.Sprint("write ", write), func(t *testing.T) {
			l := network(t, write)
			dom := chromium(t, l.url, "--virtual-time-budget=6000", "--dump-dom")
			for _, want := range []string{`<span id="name">lab</span>`, ">live</p>", `aria-label="port 1 web-1, up"`, `aria-label="port 11 spare, down"`, "isolated", "bit/s", "vswitch</title>"} {
				if !strings.Contains(dom, want) {
					t.Errorf("the page has no %q", want)
				}
			}
			if got := !regexp.MustCompile(`<section id="capture"[^>]*hidden`).MatchString(dom); got != write {
				t.Errorf("the page offers to capture: %t", got)
			}
			if strings.Contains(dom, l.token) {
				t.Error("the token is still in the page")
			}
			for _, e := range onSocket[api.FDB](l, "/v1/fdb").Entries {
				if !strings.Contains(dom, e.MAC) {
					t.Errorf("the page does not have address %s", e.MAC)
				}
			}
			if t.Failed() {
				t.Logf("%.20000s", dom)
			}
		})
	}
}
