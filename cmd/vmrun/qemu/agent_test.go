package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const oneCard = `{"return":[{"name":"eth0","hardware-address":"52:54:00:00:00:01","ip-addresses":[{"ip-address":"10.9.0.1","ip-address-type":"ipv4","prefix":24}]}]}` + "\n"

// An agent that is late with what others have asked is understood; from one that
// says nonsense, nothing or without end comes an error.
func TestAgentServers(t *testing.T) {
	for _, c := range []struct {
		name         string
		sync, answer string // ID is the right one
		says         string
	}{
		{"good", "\xff{\"return\":ID}\n", oneCard, ""},
		{"late answers", "{\"return\":[]}\n\xff{\"return\":7}\n{\"retu\xff{\"return\":ID}\n", oneCard, ""},
		{"error", "\xff{\"return\":ID}\n", `{"error":{"class":"CommandNotFound","desc":"off\u001b[2J"}}` + "\n", `"off\x1b[2J"`},
		{"no mark", "{\"return\":ID}\n", oneCard, "timeout"},
		{"another's", "\xff{\"return\":7}\n", oneCard, "timeout"},
		{"no number", "\xff{\"return\":\"ID\"}\n", oneCard, "timeout"},
		{"silent", "", "", "timeout"},
		{"stops in the middle", "\xff{\"return\":ID}\n", `{"return":[`, "timeout"},
		{"hangs up", "\xff{\"return\":ID}\n", "hang up", "EOF"},
		{"garbage", "\xff{\"return\":ID}\n", "\x00\xff]]\n", "not understood"},
		{"nothing", "\xff{\"return\":ID}\n", "{}\n", "answers nothing"},
		{"another kind", "\xff{\"return\":ID}\n", `{"return":{"a":1}}` + "\n", "not understood"},
		{"without end", "\xff{\"return\":ID}\n", strings.Repeat("x", 2*maxSaid), "EOF"},
		{"noise without end", strings.Repeat("xxx\n", maxSaid), "", "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limit := time.Minute
			if c.says == "timeout" {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			addrs, err := askAgent(ctx, agentServer(t, c.sync, c.answer))
			if c.says == "" && (err != nil || len(addrs) != 1 || addrs[[6]byte{0x52, 0x54, 5: 1}][0] != netip.MustParseAddr("10.9.0.1")) {
				t.Errorf("%v, %v", addrs, err)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || addrs != nil) {
				t.Errorf("%v, %v; want an error with %s", addrs, err, c.says)
			}
		})
	}
	if _, err := GuestAddrs(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("without a socket")
	}
	if _, err := GuestAddrs(t.Context(), agentServer(t, "", "")); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("by itself it waits for ever: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := GuestAddrs(ctx, agentServer(t, "", "")); err == nil {
		t.Error("when it is called off")
	}
}

// agentServer serves one client with what it is given, until the test ends.
func agentServer(t *testing.T, sync, answer string) (path string) {
	path = filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		in := bufio.NewReader(conn)
		line, _ := in.ReadBytes('\n')
		var asked struct{ Arguments struct{ ID json.Number } }
		if text, ok := bytes.CutPrefix(line, []byte{0xFF}); !ok || json.Unmarshal(text, &asked) != nil {
			t.Errorf("asked %q", line)
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(sync, "ID", asked.Arguments.ID.String()))
		if answer == "" {
			_, _ = io.Copy(io.Discard, in)
			return
		}
		if line, err = in.ReadBytes('\n'); err != nil {
			return
		}
		if string(line) != `{"execute":"guest-network-get-interfaces"}`+"\n" {
			t.Errorf("asked %q", line)
		}
		if answer != "hang up" {
			_, _ = io.WriteString(conn, answer)
			_, _ = io.Copy(io.Discard, in)
		}
	}()
	return path
}

// FuzzAgentAnswer reads anything. What comes of it can be used by others than
// the guest, and printed on a terminal.
func FuzzAgentAnswer(f *testing.F) {
	f.Add([]byte(oneCard))
	f.Add([]byte(`{"return":[{"name":"lo","ip-addresses":[{"ip-address":"::1"}]},{"hardware-address":"00:00:00:00:00:00"}]}`))
	f.Add([]byte(`{"return":[{"hardware-address":"52:54:00:00:00:01","ip-addresses":[{"ip-address":"fe80::1%\u001b"},{"ip-address":"2001:db8::1%\u001b[2J"},{"ip-address":"::ffff:127.0.0.1"},{"ip-address":"fd00::1"}]}]}`))
	f.Add([]byte(`{"error":{"class":"GenericError","desc":"\u001b"}}`))
	f.Add([]byte(`{"return":null}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		found, err := readInterfaces(answer)
		if err != nil && found != nil {
			t.Errorf("%v with %v", found, err)
		}
		for mac, addrs := range found {
			for _, a := range addrs {
				if !a.IsValid() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || strings.Trim(a.String(), "0123456789abcdef.:") != "" {
					t.Errorf("%x has %q", mac, a)
				}
			}
		}
	})
}
