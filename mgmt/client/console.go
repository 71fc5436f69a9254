package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vnetkit/mgmt/api"
)

// ConsoleName is the console's socket in a switch's directory.
const ConsoleName = "mgmt"

// Console is a dialog with a VDE console, ours or that of a real vde_switch. It
// is for one goroutine at a time.
type Console struct {
	Banner string
	Prompt string // without blanks

	// News is called with each line that the switch says by itself, because of
	// debug/add. It may be nil.
	News func(string)

	socket string
	conn   net.Conn
	end    []byte // of an answer: newline and prompt
	buf    []byte // read and not used yet
}

// ConsoleAnswer is what a command came to.
type ConsoleAnswer struct {
	Lines  []string // data, and what a script's commands answered
	Code   int      // 1000 and an errno of Linux; 9999: the session has ended
	Status string   // in words
}

// OK tells whether the command did what it should.
func (a ConsoleAnswer) OK() bool { return a.Code == 1000 || a.Code == 9999 }

// DialConsole opens the console of the switch in a directory, or at a socket.
func DialConsole(ctx context.Context, path string) (*Console, error) {
	socket := filepath.Clean(path)
	fi, err := os.Stat(socket)
	if err == nil && fi.IsDir() {
		socket = filepath.Join(socket, ConsoleName)
		fi, err = os.Stat(socket)
	}
	if err == nil && fi.Mode()&os.ModeSocket == 0 {
		err = errors.New("it is no socket")
	}
	c := &Console{socket: socket}
	if err == nil {
		var d net.Dialer
		c.conn, err = d.DialContext(ctx, "unix", socket)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, notPermitted(socket)
	}
	if err != nil {
		return nil, &api.Error{
			Code: api.ErrUnreachable, Message: fmt.Sprintf("open the console %s: %v", socket, root(err)),
			Hint: "see which switches run: vnetctl list; name a console that is elsewhere with -S SOCKET",
		}
	}
	if err := c.greet(ctx); err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

// Close ends the dialog.
func (c *Console) Close() error { return c.conn.Close() }

// greet reads the banner and learns the prompt: a last line that ends with "$ ".
func (c *Console) greet(ctx context.Context) error {
	text, err := c.read(ctx, func(b []byte) int {
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 && bytes.HasSuffix(b, []byte("$ ")) && len(b)-i > 3 {
			return len(b)
		}
		return -1
	})
	if err != nil {
		return err
	}
	i := bytes.LastIndexByte(text, '\n')
	c.end = slices.Clone(text[i:])
	c.Prompt = string(bytes.TrimSpace(c.end))
	c.Banner = strings.TrimSpace(string(text[:i]))
	return nil
}

// maxConsole bounds what is kept of one answer, in bytes.
const maxConsole = 256 << 20

// read reads until found says how much of what has come belongs together.
func (c *Console) read(ctx context.Context, found func([]byte) int) ([]byte, error) {
	set := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // fails only where reading will
		close(set)
	})
	defer func() { // the deadline must not come when the next call has set its own
		if !stop() {
			<-set
		}
	}()
	piece := make([]byte, 64<<10)
	for {
		if n := found(c.buf); n >= 0 {
			text := c.buf[:n]
			c.buf = slices.Clone(c.buf[n:])
			return text, nil
		}
		n, err := c.conn.Read(piece)
		c.buf = append(c.buf, piece[:n]...)
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
			return nil, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &api.Error{Code: api.ErrUnreachable, Message: "the console " + c.socket + " did not answer in time"}
		case errors.Is(err, io.EOF) && found([]byte(string(c.buf)+string(c.end))) >= 0 && len(c.buf) > 0:
			text := c.buf
			c.buf = nil
			return text, nil
		case err != nil:
			return nil, &api.Error{Code: api.ErrUnreachable, Message: fmt.Sprintf("the console %s has closed the connection (%v)", c.socket, root(err)), Hint: "see whether its switch still runs: vnetctl list"}
		case len(c.buf) > maxConsole:
			return nil, &api.Error{Code: api.ErrBadAnswer, Message: fmt.Sprintf("the console %s answers with more than %d bytes", c.socket, maxConsole)}
		}
	}
}

// Do carries out one command.
func (c *Console) Do(ctx context.Context, command string) (ConsoleAnswer, error) {
	if strings.ContainsAny(command, "\n\x00") {
		return ConsoleAnswer{}, &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf("command %q has more than one line", command)}
	}
	deadline, _ := ctx.Deadline()
	_ = c.conn.SetDeadline(deadline) // the zero time is none
	if _, err := io.WriteString(c.conn, command+"\n"); err != nil {
		return ConsoleAnswer{}, &api.Error{Code: api.ErrUnreachable, Message: fmt.Sprintf("the console %s takes no commands (%v)", c.socket, root(err))}
	}
	text, err := c.read(ctx, func(b []byte) int {
		if bytes.HasSuffix(b, c.end) {
			return len(b)
		}
		return -1
	})
	if err != nil {
		return ConsoleAnswer{}, err
	}
	return c.parse(strings.TrimSuffix(string(text), string(c.end))), nil
}

// parse takes an answer apart. The last status line is the answer's own; one that
// comes before it is of a script's command.
func (c *Console) parse(text string) (a ConsoleAnswer) {
	a.Code, a.Status = 1000, "Success" // an empty line asks for nothing and gets it
	inData, pending := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		code, status, ok := statusLine(line)
		switch {
		case line == "0000 DATA END WITH '.'":
			inData = true
		case inData && line == ".":
			inData = false
		case !inData && ok && code/1000 == 3:
			if c.News != nil {
				c.News(line)
			}
		case !inData && ok:
			if pending != "" {
				a.Lines = append(a.Lines, pending)
			}
			a.Code, a.Status, pending = code, status, line
		default:
			if pending != "" {
				a.Lines = append(a.Lines, pending)
				pending = ""
			}
			a.Lines = append(a.Lines, line)
		}
	}
	return a
}

// statusLine reads four digits and a text: 1, 3 or 9 and three more.
func statusLine(line string) (code int, text string, ok bool) {
	number, text, ok := strings.Cut(line, " ")
	if !ok || len(number) != 4 || !strings.Contains("139", number[:1]) {
		return 0, "", false
	}
	code, err := strconv.Atoi(number)
	return code, text, err == nil
}

// Await waits until something comes by itself, and hands news on.
func (c *Console) Await(ctx context.Context) error {
	_ = c.conn.SetReadDeadline(time.Time{})
	text, err := c.read(ctx, func(b []byte) int {
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return i + 1
		}
		return -1
	})
	if err == nil {
		c.parse(string(text))
	}
	return err
}
