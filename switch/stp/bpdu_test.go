package stp_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

var station = frame.MAC{2, 0, 0, 0xc0, 0xff, 0xee}

func times(age, maxAge, hello, forward uint16) stp.Times {
	return stp.Times{Age: age << 8, MaxAge: maxAge << 8, Hello: hello << 8, Forward: forward << 8}
}

var vector = stp.Vector{
	Root: stp.MakeID(0x1000, frame.MAC{2, 0, 0, 0, 0, 1}), Cost: 0x01020304,
	Bridge: stp.MakeID(0x8000, frame.MAC{2, 0, 0, 0, 0, 2}), Port: 0x8123,
}

// samples are BPDUs and the frames they are, written down by hand.
var samples = []struct {
	name string
	vid  frame.VID
	b    stp.BPDU
	hex  string
}{
	{"rst root port", 0, stp.BPDU{
		Type: stp.TypeRST, Vector: vector, Times: times(1, 20, 2, 15), Role: stp.Root,
		Agreement: true, Learning: true, Forwarding: true,
	}, "0180c2000000 020000c0ffee 0027 424203 0000 02 02 78 1000020000000001 01020304 8000020000000002 8123 0100 1400 0200 0f00 00 00000000000000"},
	{"rst proposal", 0, stp.BPDU{
		Type: stp.TypeRST, Vector: vector, Times: times(0, 20, 2, 15), Role: stp.Designated, Proposal: true, TC: true,
	}, "0180c2000000 020000c0ffee 0027 424203 0000 02 02 0f 1000020000000001 01020304 8000020000000002 8123 0000 1400 0200 0f00 00 00000000000000"},
	{"rst alternate, tagged", 100, stp.BPDU{
		Type: stp.TypeRST, Vector: vector, Times: times(3, 20, 2, 15), Role: stp.Alternate, Agreement: true,
	}, "0180c2000000 020000c0ffee 8100e064 0027 424203 0000 02 02 44 1000020000000001 01020304 8000020000000002 8123 0300 1400 0200 0f00 00 000000"},
	{"config", 0, stp.BPDU{
		Type: stp.TypeConfig, Vector: vector, Times: times(0, 20, 2, 15), Role: stp.Designated, TC: true, TCAck: true,
	}, "0180c2000000 020000c0ffee 0026 424203 0000 00 00 81 1000020000000001 01020304 8000020000000002 8123 0000 1400 0200 0f00 0000000000000000"},
	{"tcn", 0, stp.BPDU{Type: stp.TypeTCN},
		"0180c2000000 020000c0ffee 0007 424203 0000 00 80" + strings.Repeat("00", 39)},
	// As seen from vde_switch -F.
	{"fstp root port", 0, stp.BPDU{
		Type: stp.TypeRST, Vector: vector, Times: times(0, 40, 4, 0), Role: stp.Root,
		Agreement: true, Learning: true, Forwarding: true, FSTP: true,
	}, "0180c2000000 020000c0ffee 0027 424203 0000 02 02 74 1000020000000001 01020304 8000020000000002 8123 0000 2800 0400 0000 00"},
	{"fstp designated, tagged", 5, stp.BPDU{
		Type: stp.TypeRST, Vector: vector, Times: times(0, 40, 4, 0), Role: stp.Designated,
		Agreement: true, Learning: true, Forwarding: true, FSTP: true,
	}, "0180c2000000 020000c0ffee 8100e005 0027 424203 0000 02 02 7c 1000020000000001 01020304 8000020000000002 8123 0000 2800 0400 0000 00"},
	{"fstp blocked", 0, stp.BPDU{
		Type: stp.TypeRST, Vector: vector, Times: times(0, 40, 4, 0), Role: stp.Alternate,
		Agreement: true, Proposal: true, FSTP: true,
	}, "0180c2000000 020000c0ffee 0027 424203 0000 02 02 4a 1000020000000001 01020304 8000020000000002 8123 0000 2800 0400 0000 00"},
}

func unhex(t testing.TB, s string) []byte {
	raw, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestBPDUBytes(t *testing.T) {
	for _, c := range samples {
		want := unhex(t, c.hex)
		got := stp.AppendFrame(nil, station, c.vid, &c.b)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n% x, want\n% x", c.name, got, want)
		}
		b, err := stp.Parse(want)
		if c.b.FSTP {
			b.Times.Age = c.b.Times.Age // which comes from the cost
		}
		if err != nil || b != c.b {
			t.Errorf("%s is read as %+v, %v, want %+v", c.name, b, err, c.b)
		}
	}
}

func TestBadBPDUs(t *testing.T) {
	good := stp.AppendFrame(nil, station, 0, &samples[0].b)
	edit := func(at int, with ...byte) []byte {
		f := bytes.Clone(good)
		copy(f[at:], with)
		return f
	}
	for _, c := range []struct {
		name string
		f    []byte
		want string
	}{
		{"nothing", nil, "too short"},
		{"header only", good[:14], "not a spanning tree"},
		{"LLC only", good[:17], "too short"},
		{"cut", good[:40], "too short"},
		{"length of 0", edit(12, 0, 0), "too short"},
		{"length of a TCN", edit(12, 0, 7), "too short"},
		{"another address", edit(5, 1), "not a spanning tree"},
		{"another LLC", edit(14, 0xaa), "not a spanning tree"},
		{"another protocol", edit(18, 1), "unknown"},
		{"another type", edit(20, 7), "unknown"},
		{"RST of version 0", edit(19, 0), "unknown"},
		{"too old", edit(44, 20, 0), "too old"},
		{"hello time 0", edit(48, 0, 0), "hello time"},
	} {
		if _, err := stp.Parse(c.f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestBPDUAgainstTshark has Wireshark read what we write, and gopacket find the
// protocol in what has no tag, where alone it looks for LLC.
func TestBPDUAgainstTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: scripts/deps test")
	}
	path := filepath.Join(t.TempDir(), "bpdus.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, c := range samples {
		f := stp.AppendFrame(nil, station, c.vid, &c.b)
		if p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default); c.vid == 0 && p.Layer(layers.LayerTypeSTP) == nil || p.ErrorLayer() != nil {
			t.Errorf("%s: gopacket does not see a BPDU: %v", c.name, p)
		}
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(f), Length: len(f)}, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	args := []string{"-r", path, "-T", "fields", "-E", "separator=;"}
	for _, f := range strings.Fields("stp.type stp.version stp.flags stp.root.prio stp.root.ext stp.root.hw stp.root.cost " +
		"stp.bridge.hw stp.port stp.msg_age stp.max_age stp.hello stp.forward _ws.malformed vlan.id vlan.priority") {
		args = append(args, "-e", f)
	}
	out, err := exec.Command(tshark, args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	ids := ";4096;0;02:00:00:00:00:01;16909060;02:00:00:00:00:02;0x8123;"
	want := []string{
		"0x02;2;0x78" + ids + "1;20;2;15;;;",
		"0x02;2;0x0f" + ids + "0;20;2;15;;;",
		"0x02;2;0x44" + ids + "3;20;2;15;;100;7",
		"0x00;0;0x81" + ids + "0;20;2;15;;;",
		"0x80;0;;;;;;;;;;;;;;",
		"0x02;2;0x74" + ids + "0;40;4;0;;;",
		"0x02;2;0x7c" + ids + "0;40;4;0;;5;7",
		"0x02;2;0x4a" + ids + "0;40;4;0;;;",
	}
	got := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d:\n%s", len(got), len(want), out)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: tshark reads\n%s, want\n%s", samples[i].name, got[i], want[i])
		}
	}
}

// FuzzBPDU reads any bytes, and what could be read is written and read again.
// A bridge takes all of it and stays sane.
func FuzzBPDU(f *testing.F) {
	for _, c := range samples {
		f.Add(stp.AppendFrame(nil, station, c.vid, &c.b))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := stp.Parse(data)
		if err != nil {
			return
		}
		again, err := stp.Parse(stp.AppendFrame(nil, station, 0, &b))
		if err != nil && !strings.Contains(err.Error(), "too old") {
			t.Fatalf("%+v cannot be read back: %v", b, err)
		}
		if err == nil && again != b && !b.FSTP {
			t.Fatalf("%+v became %+v", b, again)
		}
		l := newLab(t)
		n := l.add(normal, stp.Config{})
		one, two := n.newPort(stp.PortConfig{}), n.newPort(stp.PortConfig{})
		n.br.Enable(one.port)
		n.br.Enable(two.port)
		for range 5 {
			n.br.Input(one.port, b)
			n.br.Tick()
			n.br.Input(two.port, b)
		}
		if len(n.sent[one.port]) > 6*7 {
			t.Fatalf("%d BPDUs sent in 5 s", len(n.sent[one.port]))
		}
	})
}
