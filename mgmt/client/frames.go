package client

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vnetkit/mgmt/api"
)

// Capture streams frames as pcapng until ctx ends, the stream is stopped or
// closed, or the switch goes away. A reader that is slow loses frames, and the
// stream says how many; package mgmt/capture takes it apart.
func (c *Client) Capture(ctx context.Context, req api.CaptureRequest) (*CaptureStream, error) {
	q := url.Values{}
	if len(req.Ports) > 0 {
		q.Set("ports", strings.Join(req.Ports, ","))
	}
	if req.Filter != "" {
		q.Set("filter", req.Filter)
	}
	if req.Snap != 0 {
		q.Set("snap", strconv.Itoa(req.Snap))
	}
	path := "/v1/capture"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	// The time limit is for the answer to begin.
	inner, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(cmp.Or(c.Timeout, DefaultTimeout), func() { cancel(context.DeadlineExceeded) })
	s := &CaptureStream{c: c, ctx: ctx, cancel: cancel}
	own := &http.Client{Transport: &http.Transport{DialContext: s.connect, DisableKeepAlives: true}}
	resp, err := c.sendBy(inner, own, "GET", path, nil)
	if !timer.Stop() && ctx.Err() == nil { // it fired
		if err == nil {
			resp.Body.Close()
		}
		return nil, c.explain(ctx, context.DeadlineExceeded)
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	s.body = resp.Body
	return s, nil
}

// CaptureStream is a capture that runs. It has a connection of its own, explains
// what goes wrong, and can be closed while it has no end.
type CaptureStream struct {
	body   io.ReadCloser
	c      *Client
	conn   net.Conn
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (s *CaptureStream) connect(ctx context.Context, _, _ string) (nc net.Conn, err error) {
	s.conn, err = s.c.connect(ctx)
	return s.conn, err
}

// Read reads what the switch sends.
func (s *CaptureStream) Read(b []byte) (int, error) {
	n, err := s.body.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's contract: EOF itself
		err = s.c.explain(s.ctx, err)
	}
	return n, err
}

// Stop ends the capture: what was captured until now can still be read, and
// then comes io.EOF.
func (s *CaptureStream) Stop() error {
	half, ok := s.conn.(*net.UnixConn)
	if !ok {
		return s.Close()
	}
	return half.CloseWrite()
}

// Close hangs up.
func (s *CaptureStream) Close() error {
	s.cancel(nil)
	return s.body.Close()
}

// Trace says what would become of a frame if it came in by a port.
func (c *Client) Trace(ctx context.Context, port string, frame []byte) (api.Trace, error) {
	var t api.Trace
	return t, c.call(ctx, "POST", "/v1/trace", api.FrameIn{Port: port, Frame: hex.EncodeToString(frame)}, &t)
}

// Inject has a frame come in by a port, and says what becomes of it.
func (c *Client) Inject(ctx context.Context, port string, frame []byte) (api.Trace, error) {
	var t api.Trace
	return t, c.call(ctx, "POST", "/v1/inject", api.FrameIn{Port: port, Frame: hex.EncodeToString(frame)}, &t)
}
