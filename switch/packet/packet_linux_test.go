package packet

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ip runs ip(8) in a namespace.
func ip(t testing.TB, ns *linktest.Namespace, args string) {
	t.Helper()
	ns.Do(func() error {
		cmd := exec.Command("ip", strings.Fields(args)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("ip %s: %v: %s", args, err, out)
		}
		return nil
	})
}

// pair makes a namespace with a veth pair a, b in it that is up.
func pair(t testing.TB, mtu string) *linktest.Namespace {
	t.Helper()
	ns := linktest.NewNamespace(t)
	ip(t, ns, "link add va mtu "+mtu+" type veth peer name vb mtu "+mtu)
	ip(t, ns, "link set va up")
	ip(t, ns, "link set vb up")
	return ns
}

func tryOpen(t testing.TB, ns *linktest.Namespace, text string, opt link.Options) (src link.Source, err error) {
	t.Helper()
	spec, perr := link.ParseSpec(text)
	if perr != nil {
		t.Fatal(perr)
	}
	ns.Do(func() error {
		src, err = Kind().Open(t.Context(), spec, opt)
		return nil
	})
	if err == nil {
		t.Cleanup(func() { _ = src.Close() })
	}
	return src, err
}

// accept has the Source yield a Link, in the namespace.
func accept(t testing.TB, ns *linktest.Namespace, src link.Source) *packetLink {
	t.Helper()
	var l link.Link
	ns.Do(func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), linktest.Patience)
		defer cancel()
		l, err = src.Accept(ctx)
		return err
	})
	return l.(*packetLink)
}

func TestLink(t *testing.T) {
	for _, keys := range []string{"", ",ring=off", ",ring=256,bypass=on"} {
		t.Run(keys, func(t *testing.T) {
			linktest.RunDevice(t, 65535+frame.HeaderLen, func(t testing.TB) (link.Link, *linktest.Station) {
				ns := pair(t, "65535")
				src, err := tryOpen(t, ns, "packet:va"+keys, link.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return accept(t, ns, src), ns.Device("vb", false)
			})
		})
	}
}

// What is sent does not come back.
func TestNoEcho(t *testing.T) {
	ns := pair(t, "1500")
	src, err := tryOpen(t, ns, "packet:va", link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, s, own := accept(t, ns, src), ns.Device("vb", false), ns.Device("va", false)
	defer l.Close()
	f := linktest.Sentinel()
	if n, err := l.WriteBatch(&frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	own.Send(linktest.Sentinel()) // as the host does
	s.Expect(f)
	s.Recv()
	last := linktest.Sentinel()
	s.Send(last)
	var got [][]byte
	for len(got) == 0 {
		b := frame.Batch{Buf: make([]byte, link.MinBuf)}
		if err := l.ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.Refs {
			got = append(got, bytes.Clone(b.Frame(r)))
		}
	}
	if len(got) != 1 || !bytes.Equal(got[0], last) {
		t.Errorf("%d frames came in, the first is % x", len(got), got[0])
	}
}

func TestMistakes(t *testing.T) {
	ns := pair(t, "1500")
	ip(t, ns, "link set lo up")
	for spec, says := range map[string]string{
		"packet:lo":                     "no Ethernet interface",
		"packet:":                       "1 to 15",
		"packet:a/b":                    "no slash",
		"packet:va,colour=red":          "colour",
		"packet:va,bypass=perhaps":      "on or off",
		"packet:va,ring=perhaps":        "a number of slots",
		"packet:va,ring=-5":             "a number of slots",
		"packet:va,ring=65537":          "256 to 65536",
		"packet:va,ring=64":             "256 to 65536",
		"packet:a-name-that-is-so-long": "1 to 15",
	} {
		if _, err := tryOpen(t, ns, spec, link.Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// The Link ends with its interface, and there is another when it comes back.
func TestLife(t *testing.T) {
	ns := pair(t, "1500")
	lost, why := make(chan error, 9), make(chan error, 99)
	src, err := tryOpen(t, ns, "packet:va", link.Options{
		Lost:     func(_ link.Link, err error) { lost <- err },
		Retrying: func(err error) { why <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	l := accept(t, ns, src)
	for _, c := range []struct{ end, says, begin string }{
		{"link set va down", "down", "link set va up"},
		{"link del va", "the interface is", "link add va type veth peer name vb"},
	} {
		ip(t, ns, c.end)
		if err := <-lost; !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.end, err)
		}
		if err := l.ReadBatch(&frame.Batch{Buf: make([]byte, link.MinBuf)}); err == nil {
			t.Errorf("%s: the link lives on", c.end)
		}
		_ = l.Close()
		ip(t, ns, c.begin)
		ip(t, ns, "link set va up")
		ip(t, ns, "link set vb up")
		l = accept(t, ns, src)
	}
	_ = l.Close()
}

func TestTag(t *testing.T) {
	if _, _, ok := tag(nil); ok {
		t.Error("a tag in nothing")
	}
	if _, _, ok := tag(make([]byte, auxLen)); ok {
		t.Error("a tag in zeros")
	}
}
