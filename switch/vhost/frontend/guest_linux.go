package frontend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options is what kind of guest it is. The zero value is one like Linux.
type Options struct {
	Pairs      int  // of rings; 0: 1
	Size       int  // descriptors in a ring; 0: 256
	BufSize    int  // bytes in a buffer, with the header; 0: 2048
	Packed     bool // packed rings
	Indirect   bool // send by indirect descriptors
	NoEventIdx bool
	NoMerge    bool   // a frame must fit into one buffer
	Legacy     bool   // a device of before version 1: short headers, if NoMerge
	Unsealed   bool   // the memory can be cut
	Features   uint64 // further ones to ask for
}

// Features that a guest of this package asks for.
const (
	featTakesCsum = 1 << 1
	FeatMergeable = 1 << 15
	FeatLogAll    = 1 << 26
	FeatIndirect  = 1 << 28
	FeatEventIdx  = 1 << 29
	FeatProtocol  = 1 << 30
	FeatVersion1  = 1 << 32
	FeatPacked    = 1 << 34
	FeatInOrder   = 1 << 35
)

// Where the guest's memory is for the guest and for a process like QEMU. Nothing
// is there in this process: who mixes addresses up is found out.
const (
	GuestBase = 0x1_0000_0000
	UserBase  = 0x7abc_0000_0000
)

// Guest is a front end with its guest.
type Guest struct {
	Conn     *net.UnixConn
	Mem      []byte
	MemFD    int
	Features uint64 // what both sides have
	Protocol uint64
	RX, TX   []*Ring

	opt     Options
	headLen int
	brk     int // memory from here on is unused

	once sync.Once
	wait timing
}

// New makes a guest that talks on conn, and brings its rings up.
func New(conn *net.UnixConn, opt Options) (*Guest, error) {
	g, err := Prepare(conn, opt)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(g.Negotiate(), g.ShareMemory(), g.StartAll()); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Dial is New on a switch's socket.
func Dial(path string, opt Options) (*Guest, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return New(conn, opt)
}

// Prepare makes a guest that has said nothing yet.
func Prepare(conn *net.UnixConn, opt Options) (*Guest, error) {
	if opt.Pairs == 0 {
		opt.Pairs = 1
	}
	if opt.Size == 0 {
		opt.Size = 256
	}
	if opt.BufSize == 0 {
		opt.BufSize = 2048
	}
	g := &Guest{Conn: conn, opt: opt, MemFD: -1, wait: newTiming()}
	if err := g.makeMemory(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	for i := range 2 * opt.Pairs {
		r, err := g.newRing(i)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		if i%2 == 0 {
			g.RX = append(g.RX, r)
		} else {
			g.TX = append(g.TX, r)
		}
	}
	return g, nil
}

// ringArea is where the parts of one ring lie; each part has a page of its own.
const ringArea = 1 << 20

func (g *Guest) makeMemory() (err error) {
	o := g.opt
	size := 2*o.Pairs*(ringArea+o.Size*o.BufSize) + 1<<21
	if g.MemFD, err = unix.MemfdCreate("guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return fmt.Errorf("make memory: %w", err)
	}
	if err := unix.Ftruncate(g.MemFD, int64(size)); err != nil {
		return fmt.Errorf("make memory: %w", err)
	}
	if !o.Unsealed {
		if _, err := unix.FcntlInt(uintptr(g.MemFD), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
			return fmt.Errorf("seal memory: %w", err)
		}
	}
	g.Mem, err = unix.Mmap(g.MemFD, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("map memory: %w", err)
	}
	return nil
}

// Alloc takes n bytes of the guest's memory for ever and says where they are.
func (g *Guest) Alloc(n int) (off int) {
	off = g.brk
	g.brk += (n + 4095) &^ 4095
	return off
}

func (g *Guest) at(off int) unsafe.Pointer { return unsafe.Pointer(&g.Mem[off]) }

// Close goes away without a word.
func (g *Guest) Close() error {
	var err error
	g.once.Do(func() {
		err = g.Conn.Close()
		for _, r := range append(g.RX, g.TX...) {
			unix.Close(r.Kick)
			unix.Close(r.Call)
		}
		if g.MemFD >= 0 {
			unix.Close(g.MemFD)
		}
	})
	return err
}

// Requests of the protocol that a guest makes itself.
const (
	ReqGetFeatures         = 1
	ReqSetFeatures         = 2
	ReqSetOwner            = 3
	ReqSetMemTable         = 5
	ReqSetVringNum         = 8
	ReqSetVringAddr        = 9
	ReqSetVringBase        = 10
	ReqGetVringBase        = 11
	ReqSetVringKick        = 12
	ReqSetVringCall        = 13
	ReqGetProtocolFeatures = 15
	ReqSetProtocolFeatures = 16
	ReqGetQueueNum         = 17
	ReqSetVringEnable      = 18
)

// Flags of messages.
const (
	flagVersion   = 1
	flagReply     = 4
	flagNeedReply = 8
	protoReplyAck = 1 << 3
)

// Message puts a message together.
func Message(req, flags uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, req)
	b = binary.NativeEndian.AppendUint32(b, flags|flagVersion)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// U64 and U32 are parts of a message.
func U64(list ...uint64) (b []byte) {
	for _, v := range list {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b
}

// U32 is U64 for shorter numbers.
func U32(list ...uint32) (b []byte) {
	for _, v := range list {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

// Send sends a message and waits for no answer.
func (g *Guest) Send(req, flags uint32, body []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	_, _, err := g.Conn.WriteMsgUnix(Message(req, flags, body), oob, nil)
	return err
}

// Tell sends a message and, where the other side can, has it say that it was done.
func (g *Guest) Tell(req uint32, body []byte, fds ...int) error {
	if g.Protocol&protoReplyAck == 0 {
		return g.Send(req, 0, body, fds...)
	}
	if err := g.Send(req, flagNeedReply, body, fds...); err != nil {
		return err
	}
	answer, err := g.Answer(req)
	if err == nil && (len(answer) != 8 || binary.NativeEndian.Uint64(answer) != 0) {
		err = fmt.Errorf("request %d: the switch says it failed", req)
	}
	return err
}

// Ask sends a question and returns the answer.
func (g *Guest) Ask(req uint32, body []byte, fds ...int) ([]byte, error) {
	if err := g.Send(req, 0, body, fds...); err != nil {
		return nil, err
	}
	return g.Answer(req)
}

// AskU64 is Ask where the answer is a number.
func (g *Guest) AskU64(req uint32) (uint64, error) {
	b, err := g.Ask(req, nil)
	if err == nil && len(b) != 8 {
		err = fmt.Errorf("request %d: answer of %d bytes, want 8", req, len(b))
	}
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(b), nil
}

// Answer waits for the answer to a request.
func (g *Guest) Answer(req uint32) ([]byte, error) {
	if err := g.Conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	var head [12]byte
	if _, err := io.ReadFull(g.Conn, head[:]); err != nil {
		return nil, fmt.Errorf("request %d: no answer: %w", req, err)
	}
	got, flags, size := binary.NativeEndian.Uint32(head[:]), binary.NativeEndian.Uint32(head[4:]), binary.NativeEndian.Uint32(head[8:])
	if got != req || flags != flagVersion|flagReply || size > 4096 {
		return nil, fmt.Errorf("request %d: answered by request %d, flags %#x, %d bytes", req, got, flags, size)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(g.Conn, body)
	return body, err
}

// Negotiate settles features.
func (g *Guest) Negotiate() error {
	offered, err := g.AskU64(ReqGetFeatures)
	if err != nil {
		return err
	}
	o := g.opt
	g.Features = (FeatProtocol | o.Features) & offered
	for _, f := range []struct {
		bit  uint64
		want bool
	}{
		{FeatVersion1, !o.Legacy}, {FeatMergeable, !o.NoMerge}, {FeatEventIdx, !o.NoEventIdx},
		{FeatPacked, o.Packed}, {FeatIndirect, o.Indirect},
	} {
		if f.want && offered&f.bit == 0 {
			return fmt.Errorf("feature %#x is not offered", f.bit)
		}
		if f.want {
			g.Features |= f.bit
		}
	}
	g.headLen = 12
	if g.Features&(FeatVersion1|FeatMergeable) == 0 {
		g.headLen = 10
	}
	if g.Protocol, err = g.AskU64(ReqGetProtocolFeatures); err != nil {
		return err
	}
	if err := g.Send(ReqSetProtocolFeatures, 0, U64(g.Protocol)); err != nil {
		return err
	}
	if err := g.Tell(ReqSetOwner, nil); err != nil {
		return err
	}
	return g.Tell(ReqSetFeatures, U64(g.Features))
}

// ShareMemory says where the memory is, in one region.
func (g *Guest) ShareMemory() error {
	body := append(U32(1, 0), U64(GuestBase, uint64(len(g.Mem)), UserBase, 0)...)
	return g.Tell(ReqSetMemTable, body, g.MemFD)
}

// StartAll starts all rings.
func (g *Guest) StartAll() error {
	for i := range g.RX {
		if err := errors.Join(g.Start(g.RX[i], 0), g.Start(g.TX[i], 0)); err != nil {
			return err
		}
	}
	return nil
}

// Start starts a ring, to go on at base.
func (g *Guest) Start(r *Ring, base uint32) error {
	n := uint32(r.Index)
	if g.opt.Packed && base == 0 {
		base = 1 << 15
	}
	if err := g.Tell(ReqSetVringNum, U32(n, uint32(r.num))); err != nil {
		return err
	}
	if err := g.Tell(ReqSetVringBase, U32(n, base)); err != nil {
		return err
	}
	if err := g.Tell(ReqSetVringAddr, r.AddrBody(0, 0)); err != nil {
		return err
	}
	if r.Index%2 == 0 {
		r.fillUp()
	}
	if err := g.Tell(ReqSetVringCall, U64(uint64(n)), r.Call); err != nil {
		return err
	}
	if err := g.Tell(ReqSetVringKick, U64(uint64(n)), r.Kick); err != nil {
		return err
	}
	return g.Tell(ReqSetVringEnable, U32(n, 1))
}

// Stop stops a ring and returns where to go on.
func (g *Guest) Stop(r *Ring) (base uint32, err error) {
	b, err := g.Ask(ReqGetVringBase, U32(uint32(r.Index), 0))
	if err != nil {
		return 0, err
	}
	if len(b) != 8 || binary.NativeEndian.Uint32(b) != uint32(r.Index) {
		return 0, fmt.Errorf("GET_VRING_BASE: answer %x", b)
	}
	return binary.NativeEndian.Uint32(b[4:]), nil
}
