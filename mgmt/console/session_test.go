package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The greeting and the prompt are two pieces, and the prompt ends one.
func TestGreeting(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	c := connectConsole(t, l.dir+"/mgmt")
	text := c.read()
	first, rest, _ := strings.Cut(text, "\n")
	if first != "VDE switch V.2.3.2" || !strings.HasPrefix(rest, "vswitch test: ") || strings.Count(text, "\n") != 2 {
		t.Errorf("greeted with %q", text)
	}
	c.want("", "")
	c.want("   ", "")
	c.want("# showinfo", "")
	c.want("\t # showinfo", "")
	c.say("logout\n")
	if got := c.read(); got != "9999 END OF SESSION<EOF>" {
		t.Errorf("logout: %q", got)
	}
}

func TestShutdown(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	c := l.dial()
	c.say("shutdown\n")
	if got := c.read(); got != "9999 END OF SESSION<EOF>" {
		t.Errorf("shutdown: %q", got)
	}
	<-l.ended
}

// Two commands in one piece are two commands, and one in many pieces is one.
func TestCommandsInPieces(t *testing.T) {
	c := newLab(t, vswitch.Options{}).dial()
	c.say("vlan/create 5\nvlan/create 5\nnosuch\n\nport/create 3\n")
	if got, want := c.readAll(5), success+prompt+"1017 File exists\n"+prompt+"1038 Function not implemented\n"+prompt+prompt+success+prompt; got != want {
		t.Errorf("answered %q, want %q", got, want)
	}
	c = newLab(t, vswitch.Options{}).dial()
	for _, piece := range []string{"vl", "an/cre", "ate ", "77", "\n"} { // none of them is a command
		c.say(piece)
	}
	if got := c.read(); got != success {
		t.Errorf("in pieces: %q", got)
	}
	c.want("vlan/print 77", data("VLAN 0077\n"))
}

// Order is kept and nothing is lost, however many commands come at once.
func TestManyCommandsAtOnce(t *testing.T) {
	c := newLab(t, vswitch.Options{}).dial()
	const count = 2000
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "vlan/create %d\n", 1+i%1000)
	}
	go func() { _, _ = io.WriteString(c, b.String()) }() // the test fails below if it does
	all := c.readAll(count)
	want := strings.Repeat(success+prompt, 1000) + strings.Repeat("1017 File exists\n"+prompt, 1000)
	if all != want {
		t.Errorf("the answers are not what they should be: %.300q", all)
	}
}

// vdeterm sends no newline; a client that closes its side gets its answer.
func TestCommandWithoutNewline(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	c := l.dial()
	c.say("ds/showinfo")
	if got := c.read(); got != data("ctl dir /run/lab\nstd mode 0600\n") {
		t.Errorf("without newline: %q", got)
	}
	c.say("nosuch")
	if got := c.read(); got != "1038 Function not implemented\n" {
		t.Errorf("without newline: %q", got)
	}
	c.say("ds/showinfo")
	if err := c.Conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.read(); got != data("ctl dir /run/lab\nstd mode 0600\n") {
		t.Errorf("before the end: %q", got)
	}
	if got := c.read(); got != "<EOF>" {
		t.Errorf("after the end: %q", got)
	}
}

func TestLongLines(t *testing.T) {
	c := newLab(t, vswitch.Options{}).dial()
	c.want("help "+strings.Repeat("x", maxLine-10), data("COMMAND PATH       SYNTAX          HELP\n------------       --------------  ------------\n"))
	c.want(strings.Repeat("x", maxLine), "1038 Function not implemented\n")
	c.want(strings.Repeat("x", maxLine+1), "1007 Argument list too long\n")
	c.want("ds/showinfo"+strings.Repeat(" ", 10*maxLine), "1007 Argument list too long\n")
	c.want("ds/showinfo", data("ctl dir /run/lab\nstd mode 0600\n"))
	c.want("\x00\xff\x1b[2J", "1038 Function not implemented\n")
}

// A table of any size is printed to its end: the real switch stops somewhere.
func TestLongAnswer(t *testing.T) {
	const count = 20000
	l := newLab(t, vswitch.Options{})
	s := l.plug("")
	say := func(i int) {
		f := make(frame.Frame, 60)
		copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 1, byte(i >> 8), byte(i), 0x88, 0xb5})
		s.Send(f)
	}
	for i := range count {
		say(i)
	}
	until(t, "all are learned", func() bool { return l.sw.Info().FDBSize == count })
	c := l.dial()
	got := c.do("hash/print")
	if n := strings.Count(got, "\nHash: "); n != count || !strings.HasSuffix(got, "\n.\n1000 Success\n") {
		t.Errorf("%d lines, ending in %q", n, got[len(got)-100:])
	}
	want := data("Hash: 0000 Addr: 02:00:00:01:00:05 VLAN 0000 to port: 001  age 0 secs\n")
	until(t, "one is found that was heard just now", func() bool {
		say(5)
		return c.do("hash/find 02:00:00:01:00:05") == want
	})
}

// slowConn takes nothing.
type slowConn struct {
	net.Conn
	deadlines chan time.Time
}

func (s *slowConn) SetWriteDeadline(at time.Time) error {
	select {
	case s.deadlines <- at:
	default:
	}
	return s.Conn.SetWriteDeadline(time.Now()) // it has passed
}

// A client that does not read is cut off, and its session with it.
func TestClientThatDoesNotRead(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	near, far := net.Pipe()
	defer far.Close()
	slow := &slowConn{near, make(chan time.Time, 1)}
	ended := make(chan struct{})
	go func() {
		l.c.serveConn(t.Context(), slow)
		close(ended)
	}()
	<-ended
	if at := <-slow.deadlines; time.Until(at) > writeTimeout {
		t.Errorf("it is waited for until %v", at)
	}
}

// Idle clients are nobody's concern, and those over the limit are sent away.
func TestManyClients(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	var idle []*client
	for range maxSessions - 1 {
		idle = append(idle, l.dial())
	}
	last := l.dial()
	last.want("ds/showinfo", data("ctl dir /run/lab\nstd mode 0600\n"))
	if got := connectConsole(t, l.dir+"/mgmt").read(); got != "<EOF>" {
		t.Errorf("one too many got %q", got)
	}
	idle[0].Close()
	until(t, "there is room again", func() bool {
		conn, err := net.Dial("unix", l.dir+"/mgmt")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{conn, t}
		text, err := c.tryRead()
		return err == nil && strings.HasPrefix(text, "VDE")
	})
}

// Standard input has no banner and, where nobody types, no prompt; it ends with
// its end, and nobody can log out.
func TestStdin(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	var out bytes.Buffer
	l.c.ServeStdio(t.Context(), strings.NewReader("nosuch\n\nlogout\nvlan/create 3\nport/print"), &out, false)
	if got := out.String(); got != "1038 Function not implemented\n"+success+data("") {
		t.Errorf("answers %q", got)
	}
	out.Reset()
	l.c.ServeStdio(t.Context(), strings.NewReader("nosuch\n"), &out, true)
	if got := out.String(); got != prompt+"1038 Function not implemented\n"+prompt {
		t.Errorf("on a terminal: %q", got)
	}
	out.Reset()
	l.c.ServeStdio(t.Context(), strings.NewReader("shutdown\nport/print\n"), &out, false)
	<-l.ended
	if got := out.String(); got != farewell {
		t.Errorf("shutdown: %q", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r, w := io.Pipe()
	defer w.Close()
	l.c.ServeStdio(ctx, r, &out, false) // returns although nobody types
}

// What fails in a start-up script is logged; the rest is carried out.
func TestLoadFile(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	path := l.dir + "/rc"
	write(t, path, "vlan/create 10\nnosuch\n\n# c\ndebug/add\nvlan/create 11\n")
	if err := l.c.LoadFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	l.dial().want("vlan/print", data("VLAN 0000\nVLAN 0010\nVLAN 0011\n"))
	if err := l.c.LoadFile(t.Context(), path+"x"); err == nil {
		t.Error("a script that is not there was carried out")
	}
	if err := l.c.LoadFile(t.Context(), "/dev/zero"); err == nil {
		t.Error("a device was carried out")
	}
}

func FuzzLine(f *testing.F) {
	for _, cmd := range commands() {
		f.Add(cmd.path + " 1 2")
	}
	f.Add("port/create 99999999999999999999\nvlan/create \x00")
	f.Add("debug/add\nport/createauto\nport/remove 1")
	f.Fuzz(func(t *testing.T, text string) {
		for _, word := range []string{"load", "pdump", "logfile", "shutdown", "iplog/ipadd"} { // they reach outside
			if strings.Contains(text, word) {
				return
			}
		}
		sw, err := vswitch.New(vswitch.Options{Kinds: nil, Workers: 1, FDBSize: 64, MaxPort: 32})
		if err != nil {
			t.Fatal(err)
		}
		defer sw.Close()
		c := New(sw, Options{})
		defer c.Close()
		var out bytes.Buffer
		c.ServeStdio(t.Context(), strings.NewReader(text), &out, false)
		c.tending.Wait()
		checkAnswers(t, out.Bytes())
	})
}

// checkAnswers wants status lines, news and data, and nothing else.
func checkAnswers(t *testing.T, out []byte) {
	inData := false
	for line := range bytes.Lines(out) {
		switch {
		case bytes.Equal(line, []byte(dataOf)):
			inData = true
		case inData && bytes.Equal(line, []byte(".\n")):
			inData = false
		case inData:
		case len(line) < 5 || line[0] != '1' && line[0] != '3' || line[len(line)-1] != '\n':
			t.Fatalf("in the answer: %q", line)
		}
	}
	if inData {
		t.Fatal("data without an end")
	}
}
