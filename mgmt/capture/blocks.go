package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxBlock is the largest block that is read, in bytes. A frame has at most
// 68 KiB, and comments are short.
const MaxBlock = 1 << 20

// ErrFormat is what every error wraps that is about what was read, not about
// reading.
var ErrFormat = errors.New("not a capture")

// Block is one block of a pcapng stream.
type Block struct {
	Type uint32
	Raw  []byte // with header and trailer; valid until the next one is read

	order binary.ByteOrder
}

// body is what is between header and trailer.
func (b *Block) body() []byte { return b.Raw[8 : len(b.Raw)-4] }

// BlockReader takes a pcapng stream apart.
type BlockReader struct {
	r     *bufio.Reader
	order binary.ByteOrder // of this section; nil before the first
	buf   []byte
}

// NewBlockReader reads from r, and reads ahead.
func NewBlockReader(r io.Reader) *BlockReader {
	return &BlockReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Waiting tells whether Next may have to wait for more to be read.
func (r *BlockReader) Waiting() bool {
	head, err := r.r.Peek(min(8, r.r.Buffered()))
	return err != nil || len(head) < 8 || r.order == nil || r.r.Buffered() < int(r.order.Uint32(head[4:]))
}

// Next returns the next block; io.EOF at the end, io.ErrUnexpectedEOF in the
// middle of one.
func (r *BlockReader) Next() (Block, error) {
	head, err := r.r.Peek(12)
	switch {
	case errors.Is(err, io.EOF) && len(head) > 0:
		return Block{}, io.ErrUnexpectedEOF
	case err != nil:
		return Block{}, err
	}
	if binary.LittleEndian.Uint32(head) == TypeSection { // the same in both orders
		switch {
		case binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic:
			r.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]) == byteOrderMagic:
			r.order = binary.BigEndian
		default:
			return Block{}, fmt.Errorf("%w: a section without byte order", ErrFormat)
		}
	}
	if r.order == nil {
		return Block{}, fmt.Errorf("%w: it begins with % x", ErrFormat, head[:4])
	}
	n := int64(r.order.Uint32(head[4:]))
	if n < 12 || n%4 != 0 || n > MaxBlock {
		return Block{}, fmt.Errorf("%w: a block of %d bytes", ErrFormat, n)
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	b := Block{Type: r.order.Uint32(head), Raw: r.buf[:n], order: r.order}
	if _, err := io.ReadFull(r.r, b.Raw); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Block{}, err
	}
	if again := int64(r.order.Uint32(b.Raw[n-4:])); again != n {
		return Block{}, fmt.Errorf("%w: a block of %d bytes that ends as one of %d", ErrFormat, n, again)
	}
	return b, nil
}

// Losses of a statistics block: which interface, and how many frames it lost
// up to then. ok is false where it does not say.
func (b *Block) Losses() (iface uint32, lost uint64, ok bool) {
	body := b.body()
	if b.Type != TypeStatistics || len(body) < 12 {
		return 0, 0, false
	}
	value := b.find(body[12:], optIfDrop)
	if len(value) != 8 {
		return 0, 0, false
	}
	return b.order.Uint32(body), b.order.Uint64(value), true
}

// find is the value of an option, or nil.
func (b *Block) find(options []byte, code uint16) []byte {
	for len(options) >= 4 {
		c, n := b.order.Uint16(options), int(b.order.Uint16(options[2:]))
		options = options[4:]
		if c == optEnd || n > len(options) {
			return nil
		}
		if c == code {
			return options[:n]
		}
		options = options[min((n+3)&^3, len(options)):]
	}
	return nil
}
