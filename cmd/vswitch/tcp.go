package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"github.com/spf13/pflag"

	"vnetkit/mgmt"
	"vnetkit/mgmt/loopback"
	"vnetkit/mgmt/metrics"
	"vnetkit/mgmt/web"
)

// tcpFlags are the flags about listening on TCP.
func (o *options) tcpFlags(f *pflag.FlagSet) {
	f.StringVar(&o.metrics, "metrics", "", "serve Prometheus's metrics at `ADDRESS` too, such as 127.0.0.1:9101")
	f.StringVar(&o.web, "web", "", "serve a web page at `ADDRESS` of this host, such as 127.0.0.1:8080; its URL with a token is printed")
	f.BoolVar(&o.webWrite, "web-write", false, "let the web page capture frames and change the switch")
}

// checkTCP checks what the command line says about listening on TCP.
func (o *options) checkTCP() error {
	if o.metrics != "" {
		if _, err := loopback.ParseAddr(o.metrics); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
	}
	if o.web == "" {
		if o.webWrite {
			return fmt.Errorf("--web-write needs --web 127.0.0.1:PORT")
		}
		return nil
	}
	addr, err := loopback.ParseAddr(o.web)
	if err != nil {
		return fmt.Errorf("--web: %w", err)
	}
	if !addr.Addr().IsLoopback() {
		// The token would cross the network for all to read.
		return fmt.Errorf("--web %s: the page is for this host only; from another one use: ssh -L %d:127.0.0.1:%d HOST, with --web %d here", o.web, addr.Port(), addr.Port(), addr.Port())
	}
	return nil
}

// tcpDoor is something that the daemon serves on TCP.
type tcpDoor struct {
	ln    net.Listener
	serve func(context.Context, net.Listener) error
}

// tcpDoors are the metrics and the web page, as far as they are asked for.
type tcpDoors struct {
	metrics *tcpDoor
	web     *tcpDoor
	site    *web.Site
}

// listenTCP opens what opt asks for, or nothing.
func listenTCP(ctx context.Context, opt options, server *mgmt.Server, log *slog.Logger) (*tcpDoors, error) {
	var d tcpDoors
	if opt.metrics != "" {
		ln, err := listenAt(ctx, opt.metrics)
		if err != nil {
			return nil, fmt.Errorf("open metrics: %w", err)
		}
		if addr, err := netip.ParseAddrPort(ln.Addr().String()); err == nil && !addr.Addr().IsLoopback() {
			log.Warn("the metrics are open to the network", "addr", ln.Addr())
		}
		d.metrics = &tcpDoor{ln, func(ctx context.Context, ln net.Listener) error {
			return metrics.Serve(ctx, ln, server.Metrics(), log)
		}}
	}
	if opt.web != "" {
		site, err := newSite(opt, server, log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make web page: %w", err), d.close())
		}
		ln, err := listenAt(ctx, opt.web)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open web page: %w", err), d.close())
		}
		d.site = site
		d.web = &tcpDoor{ln, func(ctx context.Context, ln net.Listener) error {
			return site.Serve(ctx, ln, loopback.Limits{})
		}}
	}
	return &d, nil
}

func newSite(opt options, server *mgmt.Server, log *slog.Logger) (*web.Site, error) {
	if opt.webWrite {
		return web.New(server.AsDaemon(), web.Options{Write: true, Log: log})
	}
	return web.New(server, web.Options{Log: log})
}

func listenAt(ctx context.Context, text string) (net.Listener, error) {
	addr, err := loopback.ParseAddr(text)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr.String())
}

func (d *tcpDoors) open() (list []*tcpDoor) {
	for _, door := range []*tcpDoor{d.metrics, d.web} {
		if door != nil {
			list = append(list, door)
		}
	}
	return list
}

func (d *tcpDoors) close() (err error) {
	for _, door := range d.open() {
		err = errors.Join(err, door.ln.Close())
	}
	return err
}

// announce says where they are. The web page's address is said even to those
// who want no welcome, since nobody could guess it.
func (d *tcpDoors) announce(w io.Writer, quiet bool) {
	if d.metrics != nil && !quiet {
		fmt.Fprintf(w, "  metrics:       http://%s%s\n", d.metrics.ln.Addr(), metrics.Path)
	}
	if d.web != nil {
		fmt.Fprintf(w, "  web page:      %s\n", d.site.URL(d.web.ln.Addr()))
	}
}

// serveWith runs api and everything in d until ctx ends or one of them fails,
// which ends the others.
func (d *tcpDoors) serveWith(ctx context.Context, api func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	doors := d.open()
	ends := make(chan error, len(doors))
	for _, door := range doors {
		go func() {
			err := door.serve(ctx, door.ln)
			if err != nil {
				err = fmt.Errorf("serve %s: %w", door.ln.Addr(), err)
				cancel()
			}
			ends <- err
		}()
	}
	err := api(ctx)
	cancel()
	for range doors {
		err = errors.Join(err, <-ends)
	}
	return err
}
