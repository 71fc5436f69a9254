package metrics_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/metrics"
	"vnetkit/mgmt/mgmttest"
)

// The listener answers scrapes and nothing else, whoever asks.
func TestServe(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- metrics.Serve(ctx, ln, s.Server.Metrics(), nil) }()
	addr := ln.Addr().String()
	for _, tc := range []struct {
		name, method, path, host, origin string
		status                           int
	}{
		{"scrape", "GET", "/metrics", addr, "", 200},
		{"as localhost", "GET", "/metrics", "localhost:9101", "", 200},
		{"through a tunnel", "GET", "/metrics", "[::1]:7777", "", 200},
		{"head", "HEAD", "/metrics", addr, "", 200},
		{"root", "GET", "/", addr, "", 404},
		{"api", "GET", "/v1/info", addr, "", 404},
		{"change", "PATCH", "/v1/switch", addr, "", 404},
		{"post", "POST", "/metrics", addr, "", 405},
		{"rebound name", "GET", "/metrics", "evil.example:9101", "", 403},
		{"no host", "GET", "/metrics", "", "", 400},
		{"page of another origin", "GET", "/metrics", addr, "https://evil.example", 403},
		{"sandboxed page", "GET", "/metrics", addr, "null", 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			req := tc.method + " " + tc.path + " HTTP/1.1\r\nConnection: close\r\n"
			if tc.host != "" {
				req += "Host: " + tc.host + "\r\n"
			}
			if tc.origin != "" {
				req += "Origin: " + tc.origin + "\r\n"
			}
			if _, err := io.WriteString(nc, req+"\r\n"); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(nc)
			if err != nil {
				t.Fatal(err)
			}
			status, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " ")
			if status != strconv.Itoa(tc.status) {
				t.Errorf("got %.200s, want %d", answer, tc.status)
			}
			if got := strings.Contains(string(answer), `vswitch_port_up{id="1",port="port1"} 1`); got != (tc.status == 200 && tc.method == "GET") {
				t.Errorf("it has samples: %t", got)
			}
		})
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listens")
	}
}
