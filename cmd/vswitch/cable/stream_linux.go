package cable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

const (
	lengthLen = 2     // bytes of length before each frame
	maxWire   = 65535 // longest frame that a length can say

	// vdeMax is the longest frame that vde_plug takes. When one is longer it
	// throws away whatever came with it, so none is sent unless asked for.
	vdeMax = 9234

	// stageSize is how much one write takes: what a pipe holds.
	stageSize = 64 << 10
)

// errOutOfStep is in errors that say that the stream's lengths mean nothing.
var errOutOfStep = errors.New("stream out of step")

// stream is a Link on two descriptors that carry frames behind their lengths.
type stream struct {
	in, out *descriptor

	// Owned by the reader.
	part  []byte // the beginning of a frame whose end has not come
	begun bool   // a frame has come that can be one
	bad   int    // impossible frames in a row

	// Owned by the writer.
	stage []byte
	rest  []byte // of stage: the end of a frame whose beginning is written
}

var _ link.Link = (*stream)(nil)

// newStream makes a Link of two open descriptors, which stay the caller's to
// close. They may be the same.
func newStream(in, out int) (*stream, error) {
	s := &stream{stage: make([]byte, 0, stageSize+lengthLen+maxWire)}
	var err error
	if s.in, err = openDescriptor(in, os.O_RDONLY); err != nil {
		return nil, fmt.Errorf("prepare descriptor %d for reading: %w", in, err)
	}
	if s.out, err = openDescriptor(out, os.O_WRONLY); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare descriptor %d for writing: %w", out, err), s.in.close())
	}
	return s, nil
}

// FD implements link.Link, for reading.
func (s *stream) FD() int { return s.in.fd }

// outFD is the descriptor to wait for after link.ErrFull.
func (s *stream) outFD() int { return s.out.fd }

// Close implements link.Link.
func (s *stream) Close() error { return errors.Join(s.in.close(), s.out.close()) }

// ReadBatch implements link.Link.
func (s *stream) ReadBatch(b *frame.Batch) error {
	have := copy(b.Buf, s.part)
	n, err := s.in.read(b.Buf[have:])
	data := b.Buf[:have+max(n, 0)]
	switch {
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == notNow:
		return nil
	case n == 0 && have > 0 && text(data) != "":
		return notFrames(data)
	case n == 0 && have > 0:
		return fmt.Errorf("closed by the other side in the middle of a frame: %w", io.ErrUnexpectedEOF)
	case n == 0:
		return io.EOF
	}
	if !s.begun && text(data) != "" && len(data) >= lengthLen+frame.HeaderLen {
		return notFrames(data)
	}
	used, err := s.parse(b, data)
	s.part = append(s.part[:0], data[used:]...)
	return err
}

// notFrames is for what a shell or a command prints where frames should be.
func notFrames(data []byte) error {
	return fmt.Errorf("%w: the other side sends text, not frames: %q (is something printed at log-in there, or is the command not a plug?)", errOutOfStep, text(data))
}

// text is the beginning of data if that is all of it printable, else "". No
// length and no Ethernet header look so, but for a giant frame between odd
// addresses.
func text(data []byte) string {
	data = data[:min(len(data), 80)]
	for _, c := range data {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' && c != 0x1b {
			return ""
		}
	}
	return string(data)
}

// outOfStep is how many impossible frames in a row mean that the lengths are none.
const outOfStep = 8

// parse appends a Ref to b for each whole frame in data, which starts b.Buf,
// and returns how many bytes those took.
//
// Any two bytes can be a length. That they are none shows in frames too short
// to have a header, which no plug sends, and in addresses that no station has.
// Addresses count only until the first frame that can be one: later a station
// could cut the cable for all others with a few bad frames of its own.
func (s *stream) parse(b *frame.Batch, data []byte) (used int, err error) {
	for len(data)-used >= lengthLen {
		n := int(binary.BigEndian.Uint16(data[used:]))
		end := used + lengthLen + n
		if end > len(data) {
			break
		}
		off := used + lengthLen
		used = end
		switch {
		case n == 0: // says nothing
			continue
		case n < frame.HeaderLen:
			b.Runts++
			s.bad++
		default:
			b.Refs = append(b.Refs, frame.Ref{Off: uint32(off), Len: uint32(n)})
			src := frame.Frame(data[off:end]).Src()
			if !s.begun && (src.IsGroup() || src == (frame.MAC{})) {
				s.bad++
			} else {
				s.begun, s.bad = true, 0
			}
		}
		if s.bad == outOfStep {
			return used, fmt.Errorf("%w: %d impossible frames in a row (is the other side speaking vde_plug's protocol?)", errOutOfStep, s.bad)
		}
	}
	return used, nil
}

// WriteBatch implements link.Link. Frames longer than a length can say must not
// be in b.
func (s *stream) WriteBatch(b *frame.Batch) (int, error) {
	if err := s.flush(); err != nil {
		return 0, err
	}
	done := 0
	for done < len(b.Refs) {
		s.stage = s.stage[:0]
		for ; done < len(b.Refs) && len(s.stage) < stageSize; done++ {
			r := b.Refs[done]
			s.stage = binary.BigEndian.AppendUint16(s.stage, uint16(r.Edit.Len(int(r.Len))))
			s.stage = r.Edit.Append(s.stage, b.Frame(r))
		}
		s.rest = s.stage
		if err := s.flush(); err != nil {
			return done, err
		}
	}
	return done, nil
}

// flush writes what is left of what was taken.
func (s *stream) flush() error {
	for len(s.rest) > 0 {
		n, err := s.out.write(s.rest)
		switch {
		case err != nil:
			return fmt.Errorf("write: %w", err)
		case n == notNow:
			return link.ErrFull
		}
		s.rest = s.rest[n:]
	}
	return nil
}

// unwritten counts frames that were taken and are not written to their ends.
func (s *stream) unwritten() (frames, bytes uint64) {
	written := len(s.stage) - len(s.rest)
	for at := 0; at < len(s.stage) && len(s.rest) > 0; {
		n := int(binary.BigEndian.Uint16(s.stage[at:]))
		if at += lengthLen + n; at > written {
			frames++
			bytes += uint64(n)
		}
	}
	return frames, bytes
}
