package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt"
	"vnetkit/mgmt/capture"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/switch/frame"
)

// saveFrames writes a pcapng file.
func saveFrames(t *testing.T, path string, frames ...frame.Frame) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := capture.NewWriter(file, capture.Options{})
	for i, f := range frames {
		w.Packet(&capture.Packet{Interface: capture.Interface{Port: 1, Name: "x"}, Time: time.Unix(int64(i), 0), Len: len(f), Data: f})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Where frames go, in words, and that --inject sends them there.
func TestTrace(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	s.Plug()
	b := s.Plug()
	s.Plug()
	saveFrames(t, filepath.Join(s.Dir, "two.pcapng"), frame.Frame("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x09\x88\xb5abcd"), frame.Frame("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x0a\x88\xb5"))
	b.Send(2, 0xff, 60)
	mgmttest.Until(t, "an address is learned", func() bool { return s.Info().FDBSize == 1 })
	transcript(t, s, "trace",
		"port set port1 name=vm1 vlan=10 tagged=1",
		"port set port3 name=sniffer mirror=vm1:in",
		"trace vm1 arp sip=10.0.0.1 dip=10.0.0.2",
		"trace vm1 dst=02:00:00:00:00:02 vlan=1 prio=5 --json",
		"trace vm1 dst=02:00:00:00:00:02 vlan=1 tcp dport=80 len=1514",
		"trace vm1 vlan=7",
		"trace vm1 src=01:00:5e:00:00:01",
		"trace port2 02:00:00:00:00:02 02-00-00-00-00-01 88b5",
		"trace port2 0x0102",
		"trace 2 DIR/two.pcapng:1 --inject",
		"fdb show --port port2")
}

func TestTraceMistakes(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	s.Plug()
	if err := os.WriteFile(filepath.Join(s.Dir, "text"), []byte("not frames"), 0o644); err != nil {
		t.Fatal(err)
	}
	saveFrames(t, filepath.Join(s.Dir, "one.pcapng"), make(frame.Frame, 14))
	transcript(t, s, "tracemistakes",
		"trace", "trace port1", "trace port11 arp", "trace port1 fff", "trace port1 apr", "trace port1 dts=02:00:00:00:00:01", "trace port1 xyzzy", "trace port1 src=02:00",
		"trace port1 vlan=4096", "trace port1 prio=8", "trace port1 vlan=ten", "trace port1 arp tcp", "trace port1 tcp udp", "trace port1 ip arp", "trace port1 type=0x0800 ip",
		"trace port1 sip=fd00::1 dip=10.0.0.1", "trace port1 ip6 sip=10.0.0.1", "trace port1 sport=5", "trace port1 arp sip=fd00::1", "trace port1 tcp len=20", "trace port1 len=70000",
		"trace port1 udp len=69000", "trace port1 src=02:00:00:00:00:01 src=02:00:00:00:00:02", "trace port1 sip=host",
		"trace port1 DIR/none.pcapng:1", "trace port1 DIR/text:1", "trace port1 DIR/one.pcapng:2", "trace port1 DIR/one.pcapng:0", "trace port1 DIR/one.pcapng:x", "trace port1 DIR:1")
}

// What fields describe is what Wireshark sees, with good checksums.
func TestTraceFieldsAgainstTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs tshark to look at frames: scripts/deps test installs it")
	}
	var frames []frame.Frame
	var want strings.Builder
	for _, c := range []struct{ text, sees string }{
		{"tcp sip=10.0.0.1 dip=10.0.0.2 sport=5 dport=80", "eth:ethertype:ip:tcp|60|10.0.0.1|10.0.0.2||||5|80||||1|1|||"},
		{"udp sport=5000 dport=40001 vlan=10 prio=3 len=101", "eth:ethertype:vlan:ethertype:ip:udp:data|101|192.0.2.1|192.0.2.2|||10|||5000|40001||1||1||"},
		{"udp dip=fd00::2 sport=5000 dport=40001", "eth:ethertype:ipv6:udp|62|||2001:db8::1|fd00::2||||5000|40001||||1||"},
		{"icmp dip=10.9.9.9", "eth:ethertype:ip:icmp:data|60|192.0.2.1|10.9.9.9||||||||8|1|||1|"},
		{"icmp ip6 len=99", "eth:ethertype:ipv6:icmpv6:data|99|||2001:db8::1|2001:db8::2|||||||||||1"},
		{"arp sip=10.0.0.1 dip=10.0.0.2 dst=ff:ff:ff:ff:ff:ff", "eth:ethertype:arp|60|||||||||||||||"},
		{"tcp ip6 len=1500 sport=1 dport=2", "eth:ethertype:ipv6:tcp:data|1500|||2001:db8::1|2001:db8::2||1|2|||||1|||"},
		{"type=0x88cd len=20", ""},
	} {
		f, err := parseFrame(strings.Fields(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if c.sees != "" {
			frames = append(frames, f)
			want.WriteString(c.sees + "\n")
		} else if len(f) != 20 || f.Type() != 0x88cd {
			t.Errorf("%s: % x", c.text, []byte(f))
		}
	}
	file := filepath.Join(t.TempDir(), "fields.pcapng")
	saveFrames(t, file, frames...)
	args := []string{"-n", "--disable-protocol", "tapa", "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"}
	for _, field := range []string{"frame.protocols", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "vlan.id", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport",
		"icmp.type", "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status", "icmpv6.checksum.status"} {
		args = append(args, "-e", field)
	}
	var errs bytes.Buffer
	cmd := exec.Command("tshark", args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	if string(out) != want.String() {
		t.Errorf("tshark sees\n%swant\n%s", out, &want)
	}
}

// FuzzTraceFrame reads any arguments as a frame; what comes out is one that a
// port could bring, and reads again from its hex digits.
func FuzzTraceFrame(f *testing.F) {
	for _, text := range []string{"ff:ff:ff:ff:ff:ff 020000000001 88b5", "arp sip=10.0.0.1 vlan=10", "tcp ip6 dport=80 len=100", "icmp sip=fd00::1", "udp len=65549", "a.pcap:1", "type=1 prio=7", "ip arp", "0x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "/:") && !strings.Contains(text, "=") {
			return // could be a file of this machine
		}
		got, err := parseFrame(strings.Fields(text))
		if err != nil {
			return
		}
		again, err := parseFrame([]string{hex.EncodeToString(got)})
		if len(got) > frame.MaxLen || len(got) > 0 && (err != nil || !bytes.Equal(got, again)) {
			t.Errorf("%q: %d bytes, again %d, %v", text, len(got), len(again), err)
		}
	})
}
