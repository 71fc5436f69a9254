package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"vnetkit/mgmt/capture"
)

func classic(t testing.TB, link layers.LinkType, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65536, link); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: start, CaptureLength: len(f), Length: len(f) + 5}, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func foreign(t testing.TB, link layers.LinkType, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, link)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: start, CaptureLength: len(f), Length: len(f) + 5}, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// blocks32 makes a big-endian file of 32-bit words and texts.
func bigEndian(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		_ = binary.Write(&b, binary.BigEndian, p)
	}
	return b.Bytes()
}

func readAll(file []byte) (frames []string, lengths []int, err error) {
	r, err := capture.NewReader(bytes.NewReader(file))
	for err == nil {
		var rec capture.Record
		if rec, err = r.Next(); err == nil {
			frames, lengths = append(frames, string(rec.Data)), append(lengths, rec.Len)
		}
	}
	return frames, lengths, err
}

func TestReader(t *testing.T) {
	one, two := []byte("a frame of some length"), []byte("another one")
	section := []any{uint32(0x0a0d0d0a), uint32(28), uint32(0x1a2b3c4d), uint16(1), uint16(0), int64(-1), uint32(28)}
	iface := []any{uint32(1), uint32(20), uint16(1), uint16(0), uint32(6), uint32(20)}
	simple := []any{uint32(3), uint32(24), uint32(11), []byte("anothe\x00\x00"), uint32(24)}
	old := []any{uint32(2), uint32(40), uint16(0), uint16(7), uint64(0), uint32(6), uint32(11), []byte("anothe\x00\x00"), uint32(40)}
	for _, c := range []struct {
		name   string
		file   []byte
		frames string
		err    string // of the end; "": io.EOF
	}{
		{"pcap", classic(t, layers.LinkTypeEthernet, one, two), "a frame of some length+5,another one+5", ""},
		{"pcapng", foreign(t, layers.LinkTypeEthernet, one, two), "a frame of some length+5,another one+5", ""},
		{"big-endian pcap", bigEndian(uint32(0xa1b2c3d4), uint16(2), uint16(4), uint64(0), uint32(6), uint32(1), uint64(0), uint32(6), uint32(11), []byte("anothe")), "anothe+5", ""},
		{"big-endian pcapng, simple packet", bigEndian(append(append(section, iface...), simple...)...), "anothe+5", ""},
		{"big-endian pcapng, old packet", bigEndian(append(append(section, iface...), old...)...), "anothe+5", ""},
		{"no frames", classic(t, layers.LinkTypeEthernet), "", ""},
		{"pcap of something else", classic(t, layers.LinkTypeLinuxSLL, one), "", "not Ethernet: link type 113"},
		{"pcapng of something else", foreign(t, layers.LinkTypeLinuxSLL, one), "", "not Ethernet: link type 113"},
		{"cut off", classic(t, layers.LinkTypeEthernet, one, two)[:80], "a frame of some length+5", "unexpected EOF"},
		{"empty", nil, "", "it has 0 bytes"},
		{"text", []byte("#!/bin/sh\n"), "", "neither as pcap nor as pcapng"},
		{"packet before its interface", bigEndian(append(section, old...)...), "", "contradicts itself"},
		{"huge frame", append(classic(t, layers.LinkTypeEthernet), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0x7f), "", "a frame of 2130706432 bytes"},
		{"huge block", bigEndian(append(section, uint32(6), uint32(0x7ffffffc), uint32(0))...), "", "a block of 2147483644 bytes"},
		{"block of nothing", bigEndian(append(section, uint32(6), uint32(0), uint32(0))...), "", "a block of 0 bytes"},
		{"two lengths", bigEndian(append(section, uint32(9), uint32(12), uint32(16))...), "", "ends as one of 16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frames, lengths, err := readAll(c.file)
			for i := range frames {
				if lengths[i] == len(frames[i])+5 {
					frames[i] += "+5"
				}
			}
			if got := strings.Join(frames, ","); got != c.frames {
				t.Errorf("frames %q, want %q", got, c.frames)
			}
			if c.err == "" && !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("ends with %v, want %q", err, c.err)
			}
		})
	}
}

// FuzzReader reads any bytes as a file: no panic, no end without reason, and
// what gopacket finds in a well-formed one is found here.
func FuzzReader(f *testing.F) {
	f.Add(classic(f, layers.LinkTypeEthernet, []byte("a frame"), []byte("another")))
	f.Add(foreign(f, layers.LinkTypeEthernet, []byte("a frame"), []byte("another")))
	f.Add([]byte{0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a})
	f.Fuzz(func(t *testing.T, file []byte) {
		frames, lengths, err := readAll(file)
		total := 0
		for i := range frames {
			total += len(frames[i])
			if lengths[i] < len(frames[i]) {
				t.Errorf("frame of %d bytes is %d long", len(frames[i]), lengths[i])
			}
		}
		if total > len(file) || err == nil {
			t.Errorf("%d bytes of frames out of %d, %v", total, len(file), err)
		}
	})
}
