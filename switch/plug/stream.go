package plug

import (
	"encoding/binary"
	"fmt"
	"io"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// notNow is what a socket's calls return where they would have to wait.
const notNow = -1

// streamLink is one connection that carries length-prefixed frames.
type streamLink struct {
	sock socket
	peer link.Peer

	// Owned by the reader: the beginning of a frame whose end has not come.
	part []byte

	// Owned by the writer: the end of a frame whose beginning is written.
	rest   []byte
	credit credit
}

var (
	_ link.Link   = (*streamLink)(nil)
	_ link.Peered = (*streamLink)(nil)
)

// FD implements link.Link.
func (l *streamLink) FD() int { return l.sock.fd }

// Peer implements link.Peered.
func (l *streamLink) Peer() link.Peer { return l.peer }

// Close implements link.Link.
func (l *streamLink) Close() error { return l.sock.close() }

// ReadBatch implements link.Link.
func (l *streamLink) ReadBatch(b *frame.Batch) error {
	b.Prefixed = true
	have := copy(b.Buf, l.part)
	n, err := l.sock.recv(b.Buf[have:])
	switch {
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == notNow:
		return nil
	case n == 0 && have > 0:
		return fmt.Errorf("closed by the other side in the middle of a frame: %w", io.ErrUnexpectedEOF)
	case n == 0:
		return io.EOF
	}
	b.More = have+n == len(b.Buf)
	used, err := parse(b, b.Buf[:have+n])
	l.part = append(l.part[:0], b.Buf[used:have+n]...)
	if cap(l.part) > keepPart && len(l.part) < keepPart {
		l.part = append(make([]byte, 0, keepPart), l.part...)
	}
	return err
}

// keepPart is how much a link keeps for incomplete frames when it needs less:
// a frame of the usual size.
const keepPart = 2048

// parse appends a Ref to b for each whole frame in data, which starts b.Buf,
// and returns how many bytes those took. An error says that the stream is out
// of step: no frame that follows could be told from noise.
func parse(b *frame.Batch, data []byte) (used int, err error) {
	refs := b.Refs
	// Frames of one length come in rows. That the next one is as long as the one
	// before is taken for granted until its length has been read, so that the
	// processor does not wait for memory at each frame.
	n := -1 // no length
	for len(data)-used >= frame.PrefixLen {
		if is := int(binary.BigEndian.Uint32(data[used:])); is != n {
			n = is
			if n == 0 || n > frame.MaxLen {
				err = fmt.Errorf("stream out of step: frame length %d, want 1 to %d (is the other side speaking QEMU's stream protocol?)", n, frame.MaxLen)
				break
			}
		}
		end := used + frame.PrefixLen + n
		if end > len(data) {
			break
		}
		if n >= frame.HeaderLen {
			refs = append(refs, frame.Ref{Off: uint32(used + frame.PrefixLen), Len: uint32(n)})
		} else {
			b.Runts++
		}
		used = end
	}
	b.Refs = refs
	return used, err
}

// WriteBatch implements link.Link. Neighbouring frames that came from a stream
// and need no change go out as one piece, from the buffer they came into.
func (l *streamLink) WriteBatch(b *frame.Batch) (int, error) {
	if len(l.rest) > 0 {
		n, err := l.sock.send(l.rest)
		if err != nil {
			return 0, fmt.Errorf("write: %w", err)
		}
		if l.rest = l.rest[max(n, 0):]; len(l.rest) > 0 {
			return 0, link.ErrFull
		}
		l.rest = nil
	}
	refs := b.Refs
	if l.credit.limited {
		n, err := l.credit.take(&l.sock, b.Refs)
		if err != nil {
			return 0, fmt.Errorf("write: %w", err)
		}
		refs = refs[:n]
	}
	g := gathers.Get().(*gather)
	defer gathers.Put(g)
	for done := 0; done < len(refs); {
		g.reset()
		next := done + g.addAll(b, refs[done:])
		n, err := g.send(&l.sock)
		if err != nil {
			return done, fmt.Errorf("write: %w", err)
		}
		if n < g.size {
			return done + l.cut(b, refs[done:next], max(n, 0)), link.ErrFull
		}
		done = next
	}
	if len(refs) == len(b.Refs) {
		return len(refs), nil
	}
	if err := l.credit.exhausted(&l.sock); err != nil {
		return len(refs), fmt.Errorf("write: %w", err)
	}
	return len(refs), link.ErrFull
}

// cut finds the frame in which the kernel stopped after n bytes, keeps its end,
// and returns how many frames are taken, that one included.
func (l *streamLink) cut(b *frame.Batch, refs []frame.Ref, n int) int {
	for i, r := range refs {
		size := wireLen(r)
		if n == 0 {
			return i
		}
		if n < size {
			whole := appendWire(make([]byte, 0, size), b, r)
			l.rest = whole[n:]
			return i + 1
		}
		n -= size
	}
	return len(refs)
}

// wireLen is how many bytes a frame takes on the stream.
func wireLen(r frame.Ref) int {
	return frame.PrefixLen + max(r.Edit.Len(int(r.Len)), frame.MinLen)
}

// appendWire appends a frame as it is on the stream. A VM is never sent a frame
// that is shorter than Ethernet allows: the end is filled with zeros.
func appendWire(dst []byte, b *frame.Batch, r frame.Ref) []byte {
	end := len(dst) + wireLen(r)
	dst = binary.BigEndian.AppendUint32(dst, uint32(wireLen(r)-frame.PrefixLen))
	dst = r.Edit.Append(dst, b.Frame(r))
	for len(dst) < end {
		dst = append(dst, 0)
	}
	return dst
}
