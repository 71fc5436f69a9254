package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTCP runs vswitch and returns what it prints until it names the address
// of its web page.
func startTCP(t *testing.T, args ...string) (d *daemon, said string) {
	t.Helper()
	dir := filepath.Join(tempDir(t), "lab")
	d = &daemon{t: t, dir: dir, cmd: command(append([]string{"-s", dir}, args...)...), ended: make(chan struct{})}
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make(chan string, 1)
	go func() {
		defer close(d.ended)
		var text strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "web page:") {
				up <- text.String()
			}
		}
		close(up)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() { d.signal(syscall.SIGKILL); <-d.ended })
	select {
	case said = <-up:
	case <-time.After(patience):
	}
	if said == "" {
		t.Fatalf("vswitch does not say where its page is:\n%s", &d.stderr)
	}
	return d, said
}

func fetch(t *testing.T, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The daemon prints where its metrics and its page are; both work, and end
// with it.
func TestMetricsAndWeb(t *testing.T) {
	d, said := startTCP(t, "--metrics", "127.0.0.1:0", "--web", "0")
	page := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/\?token=(\w{20,})\n`).FindStringSubmatch(said)
	scrape := regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics\n`).FindString(said)
	if page == nil || scrape == "" {
		t.Fatalf("it says:\n%s", said)
	}
	url, addr, token := strings.TrimSpace(page[0]), page[1], page[2]
	client := d.plug()
	defer client.Close()
	if status, body := fetch(t, strings.TrimSpace(scrape), ""); status != 200 || !strings.Contains(body, `vswitch_info{commit="unknown",name="lab"`) || !strings.Contains(body, "process_open_fds") {
		t.Errorf("metrics: %d %.300s", status, body)
	}
	if status, body := fetch(t, url, ""); status != 200 || !strings.Contains(body, "<title>lab") {
		t.Errorf("page: %d %.300s", status, body)
	}
	if status, body := fetch(t, "http://"+addr+"/v1/info", token); status != 200 || !strings.Contains(body, `"may_change":false`) {
		t.Errorf("info: %d %s", status, body)
	}
	if status, _ := fetch(t, "http://"+addr+"/v1/capture?ports=all", token); status != 403 {
		t.Errorf("capture: %d", status)
	}
	if strings.Contains(d.stderr.String(), token) {
		t.Error("the token is in the log")
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &d.stderr)
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("the page outlives the daemon")
	}
}

// With --web-write the page may do what the daemon's user may; -q keeps
// nothing back that one needs.
func TestWebWrite(t *testing.T) {
	_, said := startTCP(t, "-q", "--web", "127.0.0.1:0", "--web-write")
	page := regexp.MustCompile(`^ *web page: +(http://[^/]+)/\?token=(\w+)\n$`).FindStringSubmatch(said)
	if page == nil {
		t.Fatalf("it says:\n%s", said)
	}
	if status, body := fetch(t, page[1]+"/v1/info", page[2]); status != 200 || !strings.Contains(body, `"may_change":true`) {
		t.Errorf("info: %d %s", status, body)
	}
}

// An address that is taken stops the start, and nothing is left behind.
func TestTCPAddressTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for flag, says := range map[string]string{"--metrics": "open metrics", "--web": "open web page"} {
		dir := filepath.Join(tempDir(t), "lab")
		_, stderr, code := fail(t, "-s", dir, flag, ln.Addr().String())
		wantFailure(t, stderr, code, 1, says, ln.Addr().String(), "in use")
		if got := listing(t, dir); got != "gone" {
			t.Errorf("left behind: %s", got)
		}
	}
}

func TestTCPFlags(t *testing.T) {
	for _, tc := range []struct {
		args string
		says string // "": works
	}{
		{"--metrics 9101", ""},
		{"--metrics 0.0.0.0:9101", ""},
		{"--web 8080", ""},
		{"--web [::1]:8080 --web-write", ""},
		{"--metrics nowhere", "--metrics"},
		{"--metrics example.org:9101", "not an IP address"},
		{"--web 99999", "0 to 65535"},
		{"--web 0.0.0.0:8080", "ssh -L 8080:127.0.0.1:8080"},
		{"--web 192.0.2.1:8080", "this host only"},
		{"--web-write", "--web 127.0.0.1:PORT"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			_, err := parseFlags(append([]string{"-s", "/tmp/lab"}, strings.Fields(tc.args)...))
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}
