package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	"vnetkit/switch/plug"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits before it gives up.
const patience = 20 * time.Second

var testMAC = frame.MAC{0, 0xff, 1, 2, 3, 4}

// lab is a switch with a console on a socket.
type lab struct {
	t     testing.TB
	dir   string
	sw    *vswitch.Switch
	c     *Console
	pipes linktest.Pipes
	count int
	ended chan struct{} // closed by the console's shutdown
}

// newLab starts a switch and its console, which stop when the test ends. tune may
// change what the console is told.
func newLab(t testing.TB, sopt vswitch.Options, tune ...func(*Options)) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "con")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lab{t: t, dir: dir, ended: make(chan struct{})}
	sopt.Kinds = []link.Kind{l.pipes.Kind(), plug.VDE()}
	sopt.Workers = 2
	if l.sw, err = vswitch.New(sopt); err != nil {
		t.Fatal(err)
	}
	opt := Options{
		Version: "test", Dir: "/run/lab", Mode: 0o600, Socket: filepath.Join(dir, "mgmt"), SocketMode: 0o600, MAC: testMAC,
		Shutdown: func() { close(l.ended) },
	}
	for _, f := range tune {
		f(&opt)
	}
	l.c = New(l.sw, opt)
	ln, err := net.Listen("unix", opt.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.c.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, l.c.Close(), l.sw.Close()); err != nil {
			t.Errorf("end: %v", err)
		}
	})
	return l
}

// client is somebody at the console.
type client struct {
	net.Conn
	t testing.TB
}

func (l *lab) dial() *client {
	l.t.Helper()
	return dialConsole(l.t, filepath.Join(l.dir, "mgmt"))
}

// dialConsole connects to a console and reads the greeting.
func dialConsole(t testing.TB, path string) *client {
	t.Helper()
	c := connectConsole(t, path)
	if greeting := c.read(); !strings.HasPrefix(greeting, "VDE switch V.") {
		t.Fatalf("greeted with %q", greeting)
	}
	return c
}

func connectConsole(t testing.TB, path string) *client {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{Conn: conn, t: t}
}

// read returns everything up to a prompt that nothing follows, or the end.
func (c *client) read() string {
	c.t.Helper()
	text, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read: %v after %q", err, text)
	}
	return text
}

func (c *client) tryRead() (string, error) {
	var text []byte
	buf := make([]byte, 64<<10)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for !strings.HasSuffix(string(text[max(0, len(text)-len(prompt)):]), prompt) {
		n, err := c.Read(buf)
		text = append(text, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return string(text) + "<EOF>", nil
		}
		if err != nil {
			return string(text), err
		}
	}
	return strings.TrimSuffix(string(text), prompt), nil
}

// readAll returns everything up to the prompt number n.
func (c *client) readAll(n int) string {
	c.t.Helper()
	var text []byte
	buf := make([]byte, 64<<10)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for bytes.Count(text, []byte(prompt)) < n {
		k, err := c.Read(buf)
		if err != nil {
			c.t.Fatalf("read: %v after %q", err, text)
		}
		text = append(text, buf[:k]...)
	}
	return string(text)
}

// say sends text as it is.
func (c *client) say(text string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// do sends a command and returns the answer.
func (c *client) do(command string) string {
	c.t.Helper()
	c.say(command + "\n")
	return c.read()
}

// want fails the test unless a command is answered with this.
func (c *client) want(command, answer string) {
	c.t.Helper()
	if got := c.do(command); got != answer {
		c.t.Errorf("%s\nanswered:\n%s\nwant:\n%s", command, got, answer)
	}
}

const (
	success = "1000 Success\n"
	dataOf  = "0000 DATA END WITH '.'\n"
)

// data is the answer that has this data.
func data(text string) string { return dataOf + text + ".\n" + success }

// until waits for cond, which must come true by itself.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// plug adds a port with these keys and plugs a station in.
func (l *lab) plug(keys string) *linktest.Station {
	l.t.Helper()
	l.count++
	name := "p" + strconv.Itoa(l.count)
	spec := "pipe:" + name + ",single=on"
	if keys != "" {
		spec += "," + keys
	}
	added, err := l.sw.Add(l.t.Context(), spec)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.plugInto(name, added.Port.Config.ID)
}

// plugInto plugs a station into pipe name, and waits until its port is up.
func (l *lab) plugInto(name string, id int) *linktest.Station {
	l.t.Helper()
	seq := l.sw.Info().EventSeq
	s := l.pipes.Plug(l.t, name)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		events, err := l.sw.Events(ctx, seq)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range events {
			if seq = e.Seq; e.Type == vswitch.EventLinkUp && (id == 0 || e.Port == id) {
				return s
			}
		}
	}
}
