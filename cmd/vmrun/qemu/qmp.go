// Package qemu talks to QEMU: it asks a binary what it can do (probe.go), and
// gives commands to one that runs, by QMP (docs/interop/qmp-spec of QEMU).
//
// QMP is JSON, one object a line: a greeting, then an answer to each command,
// with events in between, which are skipped here.
package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Client is a connection to a QEMU's monitor. It is used by one goroutine.
type Client struct {
	rw  io.ReadWriteCloser
	in  *json.Decoder
	out *json.Encoder
}

// Error is QEMU's refusal of a command, in its own words.
type Error struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *Error) Error() string { return e.Desc }

// Dial connects to a monitor's socket.
func Dial(ctx context.Context, path string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to QEMU's monitor: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c, err := newClient(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// maxAnswer bounds what one QEMU can make us read: its schema has 2 MB.
const maxAnswer = 64 << 20

func newClient(rw io.ReadWriteCloser) (*Client, error) {
	c := &Client{rw: rw, in: json.NewDecoder(io.LimitReader(rw, maxAnswer)), out: json.NewEncoder(rw)}
	var hello struct {
		QMP json.RawMessage `json:"QMP"`
	}
	if err := c.in.Decode(&hello); err != nil || hello.QMP == nil {
		return nil, errors.Join(errors.New("QEMU's monitor does not greet as one"), err)
	}
	return c, c.Execute("qmp_capabilities", nil, nil)
}

// Execute gives a command. args and result may be nil.
func (c *Client) Execute(command string, args, result any) error {
	msg := struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, args}
	if err := c.out.Encode(msg); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *Error          `json:"error"`
		}
		switch err := c.in.Decode(&answer); {
		case err != nil:
			return fmt.Errorf("%s: %w", command, err)
		case answer.Error != nil:
			return fmt.Errorf("%s: %w", command, answer.Error)
		case answer.Return == nil: // an event
			continue
		case result == nil:
			return nil
		}
		if err := json.Unmarshal(answer.Return, result); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		return nil
	}
}

// Close ends the connection.
func (c *Client) Close() error { return c.rw.Close() }
