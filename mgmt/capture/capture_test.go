package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"vnetkit/mgmt/capture"
)

var start = time.Unix(1_700_000_000, 123_456_789)

// packet is frame n: 60 bytes that begin with addresses and end with n.
func packet(n int, port capture.Interface, out bool, comment string) *capture.Packet {
	data := make([]byte, 60+n)
	copy(data, []byte{0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5})
	data[len(data)-1] = byte(n)
	return &capture.Packet{Interface: port, Time: start.Add(time.Duration(n)), Out: out, Len: len(data), Data: data, Comment: comment}
}

var (
	vm1 = capture.Interface{Port: 1, Name: "vm1"}
	vm2 = capture.Interface{Port: 2, Name: "vm2"}
)

// sample is a capture of six frames with everything that there is.
func sample(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := capture.NewWriter(&b, capture.Options{Application: "vswitch 1.2.3", Comment: "switch lab", Filter: "vlan 10", Snap: 1000})
	w.Announce(vm1)
	w.Announce(vm2)
	w.Packet(packet(1, vm1, false, ""))
	w.Packet(packet(2, vm2, true, ""))
	w.Packet(packet(3, vm2, true, "dropped: ring-full"))
	w.Lost(17, start)
	w.Lost(3, start)
	w.Packet(packet(4, vm1, false, ""))
	w.Packet(packet(5, capture.Interface{Port: 3, Name: "late"}, false, "dropped: vlan"))
	long := packet(6, vm1, true, "")
	long.Len = 1514
	w.Packet(long)
	w.Lost(5, start)
	w.Finish(start.Add(time.Second))
	if b.Len() != 0 {
		t.Error("written before Flush")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gopacket reads what we write, with names, times and lengths.
func TestWriterAgainstGopacket(t *testing.T) {
	r, err := pcapgo.NewNgReader(bytes.NewReader(sample(t)), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	wantIfs := []int{0, 1, 1, 0, 2, 0}
	for i, want := range wantIfs {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("frame %d: %v", i+1, err)
		}
		length := 61 + i
		if i == 5 {
			length = 1514
		}
		if len(data) != 61+i || ci.Length != length || int(data[len(data)-1]) != i+1 || ci.InterfaceIndex != want || !ci.Timestamp.Equal(start.Add(time.Duration(i+1))) {
			t.Errorf("frame %d: %d bytes, %+v", i+1, len(data), ci)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last: %v", err)
	}
	for i, want := range []struct {
		name, desc string
		lost       uint64
	}{{"vm1", "port 1", 5}, {"vm2", "port 2", 20}, {"late", "port 3", 0}} {
		in, err := r.Interface(i)
		if err != nil || in.Name != want.name || in.Description != want.desc || in.Filter != "vlan 10" || in.SnapLength != 1000 || in.Statistics.PacketsDropped != want.lost {
			t.Errorf("interface %d: %+v, %v", i, in, err)
		}
	}
	if info := r.SectionInfo(); info.Application != "vswitch 1.2.3" || info.Comment != "switch lab" {
		t.Errorf("section: %+v", info)
	}
}

// Wireshark shows ports, directions, reasons and losses where its users look.
func TestWriterAgainstTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs tshark to read what is written: scripts/deps test installs it")
	}
	file := filepath.Join(t.TempDir(), "sample.pcapng")
	if err := os.WriteFile(file, sample(t), 0o644); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := exec.Command("tshark", "-n", "-r", file, "-T", "fields", "-E", "separator=|", "-e", "frame.number", "-e", "frame.interface_name", "-e", "frame.interface_description",
		"-e", "frame.packet_flags_direction", "-e", "frame.len", "-e", "frame.cap_len", "-e", "frame.comment", "-e", "frame.time_epoch")
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	want := `1|vm1|port 1|0x00000001|61|61||1700000000.123456790
2|vm2|port 2|0x00000002|62|62||1700000000.123456791
3|vm2|port 2|0x00000002|63|63|dropped: ring-full|1700000000.123456792
4|vm1|port 1|0x00000001|64|64|20 frames lost before this one: the capture's reader was too slow|1700000000.123456793
5|late|port 3|0x00000001|65|65|dropped: vlan|1700000000.123456794
6|vm1|port 1|0x00000002|1514|66||1700000000.123456795
`
	if string(out) != want {
		t.Errorf("tshark shows\n%swant\n%s", out, want)
	}
	if strings.Contains(errs.String(), "damaged") || strings.Contains(errs.String(), "malformed") {
		t.Errorf("tshark says %s", &errs)
	}
}

// Taken apart into blocks and put together again it is the same, and the
// blocks tell what was lost.
func TestBlocks(t *testing.T) {
	file := sample(t)
	r := capture.NewBlockReader(bytes.NewReader(file))
	var again []byte
	types := map[uint32]int{}
	lost := map[uint32]uint64{}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		again = append(again, b.Raw...)
		types[b.Type]++
		if i, n, ok := b.Losses(); ok {
			lost[i] = n
		}
	}
	if !bytes.Equal(again, file) {
		t.Error("not the same")
	}
	if fmt.Sprint(types) != fmt.Sprint(map[uint32]int{capture.TypeSection: 1, capture.TypeInterface: 3, capture.TypePacket: 6, capture.TypeStatistics: 6}) {
		t.Errorf("blocks: %v", types)
	}
	if lost[0] != 5 || lost[1] != 20 || lost[2] != 0 {
		t.Errorf("lost: %v", lost)
	}
}

// Before there is a port, losses wait for the first frame.
func TestLostBeforeAll(t *testing.T) {
	var b bytes.Buffer
	w := capture.NewWriter(&b, capture.Options{})
	w.Lost(9, start)
	w.Packet(packet(1, vm1, false, ""))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r := capture.NewBlockReader(&b)
	var total uint64
	for {
		block, err := r.Next()
		if err != nil {
			break
		}
		if _, n, ok := block.Losses(); ok {
			total += n
		}
	}
	if total != 9 {
		t.Errorf("%d lost", total)
	}
}

// A stream that ends anywhere yields its whole blocks and says that it was cut.
func TestBlocksCutOff(t *testing.T) {
	file := sample(t)
	ends := []int{0}
	for r := capture.NewBlockReader(bytes.NewReader(file)); ; {
		b, err := r.Next()
		if err != nil {
			break
		}
		ends = append(ends, ends[len(ends)-1]+len(b.Raw))
	}
	for n := range len(file) {
		r, got := capture.NewBlockReader(bytes.NewReader(file[:n])), 0
		for {
			b, err := r.Next()
			if err == nil {
				got += len(b.Raw)
				continue
			}
			whole := slices.Contains(ends, n)
			if whole != errors.Is(err, io.EOF) || whole == errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d: %v", n, err)
			}
			break
		}
		if i, _ := slices.BinarySearch(ends, n+1); got != ends[i-1] {
			t.Fatalf("cut at %d: %d bytes of whole blocks, want %d", n, got, ends[i-1])
		}
	}
}

type fullDisk struct{ left int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > d.left {
		return 0, errors.New("disk full")
	}
	d.left -= len(b)
	return len(b), nil
}

func TestWriterErrorStays(t *testing.T) {
	d := &fullDisk{left: 500}
	w := capture.NewWriter(d, capture.Options{})
	w.Announce(vm1)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		w.Packet(packet(1, vm1, false, "")) // flushes by itself now and then
	}
	d.left = 1 << 30
	if err := w.Flush(); err == nil {
		t.Error("the error is forgotten")
	}
}
