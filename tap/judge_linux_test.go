package tap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// judge is tcpdump, which looks at the checksums of all frames that arrived.
type judge struct {
	file   *os.File
	buf    *bufio.Writer
	w      *pcapgo.Writer
	frames int
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "pcap"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	j := &judge{file: file, buf: bufio.NewWriterSize(file, 1<<20)}
	j.w = pcapgo.NewWriter(j.buf)
	if err := j.w.WriteFileHeader(1<<18, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return j
}

// add shows the judge a frame that came in by h, as a network card would send it:
// if the header says so, with the sum from one place on written to another one.
func (j *judge) add(t *testing.T, f, header []byte) {
	t.Helper()
	if len(header) > 0 && header[0]&1 != 0 {
		f = bytes.Clone(f)
		start := int(binary.NativeEndian.Uint16(header[6:]))
		field := f[start+int(binary.NativeEndian.Uint16(header[8:])):]
		c := ^ones(f[start:])
		if c == 0 {
			c = 0xffff
		}
		binary.BigEndian.PutUint16(field, c)
	}
	j.frames++
	info := gopacket.CaptureInfo{Timestamp: time.Unix(0, 0), CaptureLength: len(f), Length: len(f)}
	if err := j.w.WritePacket(info, f); err != nil {
		t.Fatal(err)
	}
}

// verdict has tcpdump read all frames: of each it must say that its checksum is
// right, and of none that something is wrong.
func (j *judge) verdict(t *testing.T) {
	t.Helper()
	if err := j.buf.Flush(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tcpdump", "-vv", "-n", "-t", "-r", j.file.Name()).CombinedOutput()
	if err != nil {
		t.Fatalf("tcpdump: %v (scripts/deps test installs it)\n%s", err, tail(out))
	}
	for _, word := range []string{"incorrect", "bad cksum", "bad udp cksum", "truncated", "invalid"} {
		if i := bytes.Index(out, []byte(word)); i >= 0 {
			t.Errorf("tcpdump says: %s", out[max(i-300, 0):min(i+100, len(out))])
		}
	}
	if n := bytes.Count(out, []byte("(correct)")) + bytes.Count(out, []byte("[udp sum ok]")); n != j.frames || n == 0 {
		t.Errorf("tcpdump found %d right checksums in %d frames\n%s", n, j.frames, tail(out))
	}
}
