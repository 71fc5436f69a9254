// Package loopback serves HTTP on TCP, where the kernel does not say who calls.
//
// Theory of operation: what callers can take up is bounded as it is on the api
// socket: the number of connections, the size of a request and the time that
// each step may take. And since every browser on this host can reach such an
// address on behalf of any page it shows, a request must be meant for it: its
// Host must be an address or localhost, which a page that had its own name
// point here (DNS rebinding) cannot arrange, and an Origin, which browsers add
// to what scripts of other pages send, must be the server's own.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits bounds what callers can take up. Zero fields get defaults.
type Limits struct {
	Header      time.Duration // for a request's header to come in; 5 s
	Read        time.Duration // for a whole request to come in; 10 s
	Write       time.Duration // for an answer to be made and read; 20 s
	Idle        time.Duration // between two requests of a connection; 60 s
	Connections int           // at once; more are closed at once; 64
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.Header, 5*time.Second)
	set(&l.Read, 10*time.Second)
	set(&l.Write, 20*time.Second)
	set(&l.Idle, 60*time.Second)
	if l.Connections == 0 {
		l.Connections = 64
	}
	return l
}

// ParseAddr reads [HOST]:PORT or just PORT; without a host, 127.0.0.1 is meant.
func ParseAddr(addr string) (netip.AddrPort, error) {
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: want HOST:PORT, such as 127.0.0.1:9101", addr)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: host %q is not an IP address", addr, host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: port %q: want 0 to 65535", addr, port)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// Serve answers the callers of ln with h until ctx ends, and then closes ln
// and every connection. It fails only when ln does.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, limits Limits, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limits = limits.withDefaults()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv := &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: limits.Header,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		grace, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(&listener{Listener: ln, limit: int32(limits.Connections)})
	cancel()
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Foreign says why r is not meant for this server, or "".
func Foreign(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if _, err := netip.ParseAddr(host); err != nil && !strings.EqualFold(host, "localhost") {
		return fmt.Sprintf("host %.100q is neither an address nor localhost", r.Host)
	}
	if origin := r.Header.Values("Origin"); len(origin) > 1 || len(origin) == 1 && !strings.EqualFold(origin[0], "http://"+r.Host) {
		return fmt.Sprintf("the page that asks is of another origin: %.100q", origin)
	}
	return ""
}

// listener closes connections over the limit at once.
type listener struct {
	net.Listener
	limit int32
	open  atomic.Int32
}

// Accept returns the next connection for which there is room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			return &conn{Conn: nc, open: &l.open}, nil
		}
		l.open.Add(-1)
		nc.Close()
	}
}

// conn gives its place back when it closes.
type conn struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
