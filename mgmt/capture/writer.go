package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Block types.
const (
	TypeSection    = 0x0a0d0d0a
	TypeInterface  = 1
	typeOldPacket  = 2
	typeSimple     = 3
	TypeStatistics = 5
	TypePacket     = 6
)

// Options of blocks.
const (
	optEnd     = 0
	optComment = 1

	optUserAppl = 4 // of a section

	optIfName   = 2 // of an interface
	optIfDesc   = 3
	optIfTSRes  = 9
	optIfFilter = 11
	optIfFCSLen = 13

	optFlags     = 2 // of a packet
	optDropCount = 4

	optIfRecv = 4 // of statistics
	optIfDrop = 5
)

const (
	byteOrderMagic   = 0x1a2b3c4d
	linkTypeEthernet = 1
	nanoseconds      = 9 // resolution: 10^-9 s
	flagInbound      = 1
	flagOutbound     = 2
)

// Options describe a capture.
type Options struct {
	Application string // that captures
	Comment     string // about the whole
	Filter      string // expression that selected the frames; "": none
	Snap        int    // bytes kept of each frame; 0: all
}

// Interface is a port as an interface of the capture.
type Interface struct {
	Port int
	Name string
}

// Packet is a captured frame.
type Packet struct {
	Interface
	Time    time.Time
	Out     bool // to the port's link; otherwise from it
	Len     int  // of the frame; Data may be less of it
	Data    []byte
	Comment string
}

// Writer writes a capture. It is for one goroutine, and an error stays: every
// Flush after it returns it.
type Writer struct {
	w    io.Writer
	opt  Options
	buf  []byte
	err  error
	ifs  map[Interface]uint32
	recv []uint64 // frames, by interface
	drop []uint64 // frames lost, by interface
	last uint32   // interface of the latest frame
	lost uint64   // since the latest frame
	open uint64   // of these, not yet in drop: there was no interface
}

// flushAt is how many bytes gather before they are written.
const flushAt = 64 << 10

// NewWriter begins a capture, and writes nothing before Flush.
func NewWriter(w io.Writer, opt Options) *Writer {
	c := &Writer{w: w, opt: opt, ifs: map[Interface]uint32{}}
	at := c.begin(TypeSection)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, byteOrderMagic)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, 1)          // version 1.0
	c.buf = binary.LittleEndian.AppendUint64(c.buf, ^uint64(0)) // of unknown length
	c.text(optComment, opt.Comment)
	c.text(optUserAppl, opt.Application)
	c.end(at)
	return c
}

// Announce writes an interface if it is not there yet, and returns its number.
// Packet does it by itself; ports without frames show up only this way.
func (c *Writer) Announce(i Interface) uint32 {
	if id, ok := c.ifs[i]; ok {
		return id
	}
	id := uint32(len(c.recv))
	c.ifs[i] = id
	c.recv, c.drop = append(c.recv, 0), append(c.drop, 0)
	at := c.begin(TypeInterface)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, linkTypeEthernet)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(c.opt.Snap))
	c.text(optIfName, i.Name)
	c.text(optIfDesc, fmt.Sprintf("port %d", i.Port))
	c.option(optIfTSRes, nanoseconds)
	if c.opt.Filter != "" {
		c.option(optIfFilter, append([]byte{0}, c.opt.Filter...)...) // 0: a text
	}
	c.option(optIfFCSLen, 0)
	c.end(at)
	return id
}

// Packet writes a frame.
func (c *Writer) Packet(p *Packet) {
	id := c.Announce(p.Interface)
	c.recv[id]++
	c.last = id
	comment := p.Comment
	if c.lost > 0 {
		if comment != "" {
			comment += "; "
		}
		comment += fmt.Sprintf("%d frames lost before this one: the capture's reader was too slow", c.lost)
	}
	at := c.begin(TypePacket)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, id)
	c.time(p.Time)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(len(p.Data)))
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(max(p.Len, len(p.Data))))
	c.buf = append(c.buf, p.Data...)
	c.pad()
	c.text(optComment, comment)
	flags := byte(flagInbound)
	if p.Out {
		flags = flagOutbound
	}
	c.option(optFlags, flags, 0, 0, 0)
	if c.lost > 0 {
		c.option(optDropCount, binary.LittleEndian.AppendUint64(nil, c.lost)...)
		c.lost = 0
	}
	c.end(at)
	c.book(p.Time)
	if len(c.buf) >= flushAt {
		_ = c.Flush() // the last one tells
	}
}

// Lost says that n frames were lost after the latest one.
func (c *Writer) Lost(n uint64, at time.Time) {
	c.lost += n
	c.open += n
	c.book(at)
}

// book puts what was lost into the statistics of the latest frame's interface.
func (c *Writer) book(at time.Time) {
	if c.open > 0 && len(c.recv) > 0 {
		c.drop[c.last] += c.open
		c.open = 0
		c.statistics(c.last, at)
	}
}

// Finish writes how many frames each interface had.
func (c *Writer) Finish(at time.Time) {
	for id := range c.recv {
		c.statistics(uint32(id), at)
	}
}

func (c *Writer) statistics(id uint32, now time.Time) {
	at := c.begin(TypeStatistics)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, id)
	c.time(now)
	c.option(optIfRecv, binary.LittleEndian.AppendUint64(nil, c.recv[id]+c.drop[id])...)
	c.option(optIfDrop, binary.LittleEndian.AppendUint64(nil, c.drop[id])...)
	c.end(at)
}

// Flush hands on what was written.
func (c *Writer) Flush() error {
	if c.err == nil && len(c.buf) > 0 {
		_, c.err = c.w.Write(c.buf)
	}
	c.buf = c.buf[:0]
	return c.err
}

// begin begins a block, and end ends it.
func (c *Writer) begin(typ uint32) (at int) {
	at = len(c.buf)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, typ)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, 0) // length
	return at
}

func (c *Writer) end(at int) {
	c.option(optEnd)
	n := uint32(len(c.buf) - at + 4)
	binary.LittleEndian.PutUint32(c.buf[at+4:], n)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, n)
}

func (c *Writer) option(code uint16, value ...byte) {
	c.buf = binary.LittleEndian.AppendUint16(c.buf, code)
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(value)))
	c.buf = append(c.buf, value...)
	c.pad()
}

// text writes an option that is a text, if it is not empty.
func (c *Writer) text(code uint16, value string) {
	if value != "" {
		c.option(code, []byte(value[:min(len(value), 0xffff)])...)
	}
}

// pad fills up to 32 bits. Blocks are whole, so the buffer's length counts.
func (c *Writer) pad() {
	for len(c.buf)%4 != 0 {
		c.buf = append(c.buf, 0)
	}
}

// time writes high and low half of a time.
func (c *Writer) time(t time.Time) {
	ns := uint64(t.UnixNano())
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(ns>>32))
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(ns))
}
