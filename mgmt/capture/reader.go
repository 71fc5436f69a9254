package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFrame bounds what a file can make us read as one frame.
const maxFrame = 256 << 10

// Record is a frame of a file.
type Record struct {
	Data []byte // the caller's
	Len  int    // of the frame; more than Data has when the file cut it off
}

// Reader reads the frames of a pcap or pcapng file.
type Reader struct {
	next func() (Record, error)
}

// NewReader looks at how r begins.
func NewReader(r io.Reader) (*Reader, error) {
	br := bufio.NewReader(r)
	head, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) < 4 {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrFormat, len(head))
	}
	if binary.LittleEndian.Uint32(head) == TypeSection {
		ng := &ngReader{blocks: NewBlockReader(br)}
		return &Reader{next: ng.next}, nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if magic := order.Uint32(head); magic == 0xa1b2c3d4 || magic == 0xa1b23c4d {
			return newPcap(br, order)
		}
	}
	return nil, fmt.Errorf("%w: it begins with % x, neither as pcap nor as pcapng", ErrFormat, head)
}

// Next returns the next frame; io.EOF behind the last.
func (r *Reader) Next() (Record, error) { return r.next() }

// newPcap reads the header of a classic pcap file.
func newPcap(r io.Reader, order binary.ByteOrder) (*Reader, error) {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: it ends inside its header", ErrFormat)
	}
	if err := ethernetOnly(order.Uint32(head[20:]) & 0xffff); err != nil {
		return nil, err
	}
	return &Reader{next: func() (Record, error) {
		var h [16]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return Record{}, err
		}
		return record(r, order.Uint32(h[8:]), order.Uint32(h[12:]))
	}}, nil
}

func ethernetOnly(linkType uint32) error {
	if linkType != linkTypeEthernet {
		return fmt.Errorf("its frames are not Ethernet: link type %d", linkType)
	}
	return nil
}

// record reads a frame of n bytes, that had length before it was cut off.
func record(r io.Reader, n, length uint32) (Record, error) {
	if n > maxFrame || length > 1<<30 {
		return Record{}, fmt.Errorf("%w: a frame of %d bytes", ErrFormat, max(n, length))
	}
	rec := Record{Data: make([]byte, n), Len: int(max(n, length))}
	if _, err := io.ReadFull(r, rec.Data); err != nil {
		return Record{}, io.ErrUnexpectedEOF
	}
	return rec, nil
}

// ngReader finds frames among blocks.
type ngReader struct {
	blocks *BlockReader
	ifs    []ngInterface // of this section
}

type ngInterface struct{ linkType, snap uint32 }

// maxInterfaces bounds what a file makes us remember.
const maxInterfaces = 1 << 16

func (r *ngReader) next() (Record, error) {
	for {
		b, err := r.blocks.Next()
		if err != nil {
			return Record{}, err
		}
		body := b.body()
		var head int // bytes before the frame
		var iface, n, length uint32
		switch b.Type {
		case TypeSection:
			r.ifs = r.ifs[:0]
			continue
		case TypeInterface:
			if len(body) < 8 || len(r.ifs) == maxInterfaces {
				return Record{}, fmt.Errorf("%w: a bad interface", ErrFormat)
			}
			r.ifs = append(r.ifs, ngInterface{uint32(b.order.Uint16(body)), b.order.Uint32(body[4:])})
			continue
		case TypePacket, typeOldPacket:
			if head = 20; len(body) < head {
				return Record{}, fmt.Errorf("%w: a bad packet block", ErrFormat)
			}
			iface, n, length = b.order.Uint32(body), b.order.Uint32(body[12:]), b.order.Uint32(body[16:])
			if b.Type == typeOldPacket {
				iface = uint32(b.order.Uint16(body))
			}
		case typeSimple:
			if head = 4; len(body) < head || len(r.ifs) == 0 {
				return Record{}, fmt.Errorf("%w: a bad packet block", ErrFormat)
			}
			length = b.order.Uint32(body)
			if n = length; r.ifs[0].snap != 0 {
				n = min(length, r.ifs[0].snap)
			}
		default:
			continue
		}
		if uint64(iface) >= uint64(len(r.ifs)) || uint64(n) > uint64(len(body)-head) {
			return Record{}, fmt.Errorf("%w: a packet block that contradicts itself", ErrFormat)
		}
		if err := ethernetOnly(r.ifs[iface].linkType); err != nil {
			return Record{}, err
		}
		return Record{Data: append([]byte{}, body[head:head+int(n)]...), Len: int(min(max(n, length), 1<<30))}, nil
	}
}
