// Package client calls a switch's api socket.
//
// Dial looks at the socket's path and tells at once what is wrong with it;
// each method is then one request. All errors that a caller may want to tell
// apart carry a code of mgmt/api, wherever they were found, so
//
//	errors.Is(err, api.ErrNoPort)       the switch has no such port
//	errors.Is(err, api.ErrUnreachable)  there is no switch to ask
//
// work alike, and every message names the object and the likely cause; the
// cure is in (*api.Error).Hint. Find lists the switches of this host.
//
// A Client is safe for concurrent use.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"vnetkit/mgmt/api"
)

// DefaultTimeout is how long a request may take when its context says nothing.
const DefaultTimeout = 10 * time.Second

// maxAnswer bounds what is read of an answer, in bytes. The largest, a full
// forwarding table of a million entries, has about 100 MB.
const maxAnswer = 256 << 20

// Client is a way to one switch.
type Client struct {
	// Timeout is how long a request may take when its context has no deadline;
	// 0: DefaultTimeout. It is not for event streams that are followed.
	Timeout time.Duration

	socket    string
	http      *http.Client
	queueFull atomic.Bool // the last connect waited for room in the listener's queue
}

// Dial returns a Client for the switch in a directory, or at an api socket. It
// does not connect yet: it fails only when no such socket can be seen, with a
// *api.Error that says why and what to do.
func Dial(path string) (*Client, error) {
	socket := filepath.Clean(path)
	fi, err := os.Stat(socket)
	if err == nil && fi.IsDir() || err != nil && filepath.Base(socket) != api.SocketName {
		socket = filepath.Join(socket, api.SocketName)
		fi, err = os.Stat(socket)
	}
	if err != nil {
		return nil, explainPath(socket, err)
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return nil, &api.Error{Code: api.ErrUnreachable, Message: socket + " is a file of another kind, not a socket", Hint: "give the switch's directory: -s DIR; vnetctl list shows them"}
	}
	if err := api.CheckSocketPath(socket); err != nil {
		return nil, err
	}
	c := &Client{socket: socket}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx) },
		MaxIdleConns:    2,
		IdleConnTimeout: 30 * time.Second,
	}}
	return c, nil
}

// Socket is the path of the api socket.
func (c *Client) Socket() string { return c.socket }

// Dir is the switch's directory.
func (c *Client) Dir() string { return filepath.Dir(c.socket) }

// Close gives idle connections back. Requests under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// connect waits where the listener's queue is full: there, Linux does not make
// a non-blocking connect wait but fails it.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	pause := time.Millisecond
	for {
		nc, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
		full := errors.Is(err, syscall.EAGAIN)
		c.queueFull.Store(full)
		if !full {
			return nc, err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		case <-ctx.Done():
			return nil, err
		}
	}
}

// call makes a request and reads its answer into out, if that is not nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		if ctx.Err() != nil {
			return c.explain(ctx, err)
		}
		return c.badAnswer(fmt.Sprintf("its answer to %s %s is not what this program understands: %v", method, path, err))
	}
	return nil
}

// send makes a request and hands back an answer whose status is good.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	return c.sendBy(ctx, c.http, method, path, in)
}

// sendBy is send by a way of the request's own.
func (c *Client) sendBy(ctx context.Context, way *http.Client, method, path string, in any) (*http.Response, error) {
	// What a path cannot end with is no name of a port, nor of anything else.
	if ref := path[strings.LastIndexByte(path, '/')+1:]; ref == "" || ref == "." || ref == ".." {
		return nil, &api.Error{Code: api.ErrNoPort, Message: fmt.Sprintf("no port %q: that is no name", ref), Hint: "vnetctl ports"}
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://vswitch"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", method, path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := way.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var fail api.Failure
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&fail)
	if kind != "application/json" || err != nil || fail.Error == nil || fail.Error.Code == "" {
		return nil, c.badAnswer(fmt.Sprintf("it answers %s %s with %q and no reason", method, path, resp.Status))
	}
	return nil, fail.Error
}

func (c *Client) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, cmp.Or(c.Timeout, DefaultTimeout))
}

// portPath is the path of one port or door.
func portPath(ref string) string { return "/v1/ports/" + url.PathEscape(ref) }
