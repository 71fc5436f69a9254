package filter_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"vnetkit/switch/frame"
)

// save writes frames into a pcap file; frame n has the time n.
func save(t *testing.T, frames []frame.Frame) string {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(1<<17, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(int64(i+1), 0), CaptureLength: len(f), Length: len(f)}
		if err := w.WritePacket(ci, f); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// numbers runs a program and reads the number that each line begins with.
func numbers(t *testing.T, program string, args ...string) []int {
	t.Helper()
	cmd := exec.Command(program, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, &errs)
	}
	list := []int{}
	for line := range strings.Lines(string(out)) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), ".")
		n, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatalf("%s %q: line %q", program, args, line)
		}
		list = append(list, n)
	}
	return list
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s to compare with: scripts/deps test installs it", program)
	}
}

// What tcpdump takes, too, means the same here.
func TestAgreesWithTcpdump(t *testing.T) {
	need(t, "tcpdump")
	frames := untagged()
	file := save(t, frames)
	for _, text := range []string{
		"arp", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "sctp",
		"ether host 52:54:00:00:00:01", "ether src 52:54:00:00:00:01", "ether dst 52:54:00:00:00:01", "ether dst host 52:54:00:00:00:02",
		"broadcast", "ether broadcast", "multicast", "ether multicast", "ether proto 0x88cc", "ether proto 35020", "vlan",
		"host 10.0.0.1", "src host 10.0.0.1", "dst host 10.0.0.2", "src 10.0.0.2", "ip host 10.0.0.1", "arp host 10.0.0.2", "arp src 10.0.0.1",
		"host fd00::1", "src host fd00::2", "ip6 dst fd00::1", "ip6 host fe80::1",
		"net 10.0.0.0/8", "net 10.0.0.0/30", "dst net 10.1.0.0/16", "net 0.0.0.0/0", "ip net 192.168.0.0/16", "arp net 192.168.0.0/16", "src net 172.16.0.0/12",
		"net fe80::/10", "dst net fd00::/16", "ip6 src net fd00::2/128",
		"port 80", "src port 80", "dst port 53", "tcp port 80", "udp dst port 53", "sctp port 80", "portrange 50-90", "src portrange 5000-6000", "tcp portrange 0-65535",
		"ip proto 89", "ip proto 1", "ip6 proto 17", "ip proto 47", "less 60", "greater 60", "greater 1514", "less 14",
		"not arp", "! arp and ! ip6", "not (arp or ip6)", "tcp or udp and port 53", "udp and port 53 or tcp", "not tcp and port 80",
		"(tcp or udp) && (host 10.0.0.1 || host fd00::1) && !(port 22)", "not not arp", "!(!(ip))", "((((arp))))",
	} {
		t.Run(text, func(t *testing.T) {
			got, want := matches(t, text, frames), numbers(t, "tcpdump", "-tt", "-n", "-q", "-r", file, text)
			// libpcap compares ports where a fragment header is, and stops at
			// extension headers; we look through them.
			ours := []int{18, 19, 20}
			drop := func(list []int) []int {
				return slices.DeleteFunc(list, func(n int) bool { return slices.Contains(ours, n) })
			}
			if strings.ContainsAny(text, "!") || strings.Contains(text, "not") || strings.Contains(text, "port") || strings.Contains(text, "tcp") || strings.Contains(text, "udp") || strings.Contains(text, "proto 17") {
				got, want = drop(got), drop(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("selects %v, tcpdump %v", got, want)
			}
		})
	}
}

// With tags and extension headers we are of Wireshark's opinion.
func TestAgreesWithTshark(t *testing.T) {
	need(t, "tshark")
	frames := untagged()
	for _, tags := range [][]uint32{{tag10}, {stag10, tag20}, {ptag}, {tag20, tag10}} {
		frames = append(frames, kinds(tags)...)
	}
	file := save(t, frames)
	for _, c := range []struct{ text, display string }{
		{"vlan", "vlan or ieee8021ad"},
		{"vlan 10 and not vlan 20", "(vlan.id == 10 or ieee8021ad.id == 10) and !(vlan.id == 20)"},
		{"tcp port 80", "tcp.port == 80"},
		{"udp dst port 53", "udp.dstport == 53"},
		{"net 10.0.0.0/8 and not arp", "ip.addr == 10.0.0.0/8"},
		{"src host fd00::1 or src host 172.16.0.9", "ipv6.src == fd00::1 or ip.src == 172.16.0.9"},
		{"icmp or icmp6 or arp", "icmp or icmpv6 or arp"},
		{"ether proto 0x88b5 and less 100", "(eth.type == 0x88b5 or vlan.etype == 0x88b5) and frame.len <= 100"},
	} {
		t.Run(c.text, func(t *testing.T) {
			got := matches(t, c.text, frames)
			want := numbers(t, "tshark", "-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-r", file, "-Y", c.display, "-T", "fields", "-e", "frame.number")
			if !slices.Equal(got, want) {
				t.Errorf("selects %v, tshark with %s %v", got, c.display, want)
			}
		})
	}
}
