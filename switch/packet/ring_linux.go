package packet

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

const (
	// A slot holds a frame of MTU 1500, tagged twice, and what stands before it. It
	// is no power of two: the beginnings of all slots must not fall into the same
	// lines of a cache. The kernel takes whole blocks of pages; what a last slot
	// has no room for at the end of one is left over.
	slotSize  = 31 * 64
	blockSize = 64 << 10
	perBlock  = blockSize / slotSize

	// slotHead is what the kernel writes at the beginning of a slot (struct
	// tpacket2_hdr); the frame comes further behind.
	slotHead = 32

	statusKernel = 0 // the slot is the kernel's

	// checkEvery is how often, in reads that find nothing, the socket is asked
	// whether it has failed.
	checkEvery = 64
)

// rxRing is memory that the kernel puts what comes in into (PACKET_RX_RING,
// packet(7)), a slot for each frame, in turn. A slot is ours from when the kernel
// has set its status until we set it back.
type rxRing struct {
	mem  []byte
	at   []uint32 // where in mem each slot begins
	next int      // the slot that the next frame is in
	lent int      // slots before it that the latest batch lies in
	idle int      // reads that found nothing, in a row
}

// openRing gives fd a ring. It must not be bound yet: whatever comes in has a
// slot.
func openRing(fd, slots int) (*rxRing, error) {
	// What a slot is too short for is queued as well, so that it can be read whole.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_COPY_THRESH, slotSize); err != nil {
		return nil, fmt.Errorf("PACKET_COPY_THRESH: %w", err)
	}
	mem, err := mapRing(fd, unix.PACKET_RX_RING, (slots+perBlock-1)/perBlock)
	if err != nil {
		return nil, err
	}
	return newRing(mem), nil
}

// mapRing has the kernel make one of fd's rings, and returns its memory.
func mapRing(fd, which, blocks int) ([]byte, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("TPACKET_V2: %w", err)
	}
	req := unix.TpacketReq{Block_size: blockSize, Block_nr: uint32(blocks), Frame_size: slotSize, Frame_nr: uint32(blocks * perBlock)}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, which, &req); err != nil {
		return nil, fmt.Errorf("%d KiB of memory: %w", blocks*blockSize>>10, err)
	}
	mem, err := unix.Mmap(fd, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, which, &unix.TpacketReq{}) // fd goes on without
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return mem, nil
}

func newRing(mem []byte) *rxRing {
	r := &rxRing{mem: mem, at: make([]uint32, len(mem)/blockSize*perBlock)}
	for i := range r.at {
		r.at[i] = slotAt(i)
	}
	return r
}

// slotAt is where slot number i of a ring begins.
func slotAt(i int) uint32 { return uint32(i/perBlock*blockSize + i%perBlock*slotSize) }

func (r *rxRing) close() error {
	if r == nil {
		return nil
	}
	return unix.Munmap(r.mem)
}

func (r *rxRing) slots() int { return len(r.at) }

// slot is number n behind the next one; before it, if n is negative.
func (r *rxRing) slot(n int) (at int, head *unix.Tpacket2Hdr) {
	i := r.next + n
	if i >= len(r.at) {
		i -= len(r.at)
	} else if i < 0 {
		i += len(r.at)
	}
	at = int(r.at[i])
	return at, (*unix.Tpacket2Hdr)(unsafe.Pointer(&r.mem[at]))
}

// status is what the kernel says of a slot; what it wrote before can be read then.
func status(head *unix.Tpacket2Hdr) uint32 { return atomic.LoadUint32(&head.Status) }

// giveBack gives the latest batch's slots back.
func (r *rxRing) giveBack() {
	for ; r.lent > 0; r.lent-- {
		_, head := r.slot(-r.lent)
		atomic.StoreUint32(&head.Status, statusKernel)
	}
}

// taken tells that the next n slots have been read.
func (r *rxRing) taken(n int) {
	r.next += n
	if r.next >= len(r.at) {
		r.next -= len(r.at)
	}
	r.lent = n
}

// readRing is ReadBatch from the ring. The frames lie in it until the next call.
// Where a frame is in the socket's queue, because its slot was too short, a batch
// ends, and the next one comes from there.
func (l *packetLink) readRing(b *frame.Batch) error {
	r := l.rx.ring
	r.giveBack()
	b.Buf = r.mem
	n, most, all := 0, min(batchLen, r.slots()), uint32(0)
	for n < most {
		at, head := r.slot(n)
		s := status(head)
		if s&unix.TP_STATUS_USER == 0 {
			break
		}
		if s&unix.TP_STATUS_COPY != 0 {
			if n == 0 {
				return l.readLong(b)
			}
			b.More = true
			break
		}
		all |= s
		takeSlot(b, at, head, s)
		n++
	}
	r.taken(n)
	b.More = b.More || n == most
	if all&unix.TP_STATUS_LOSING != 0 {
		l.countMissed(b)
	}
	if n > 0 {
		r.idle = 0
		return nil
	}
	if r.idle++; r.idle%checkEvery != 0 {
		return nil
	}
	if e, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && e != 0 {
		return l.failure("read", unix.Errno(e))
	}
	return nil
}

// readLong reads the frames that the next slots only have the beginning of.
func (l *packetLink) readLong(b *frame.Batch) error {
	r, n, all := l.rx.ring, 0, uint32(0)
	for ; n < min(batchLen, r.slots()); n++ {
		_, head := r.slot(n)
		s := status(head)
		if s&unix.TP_STATUS_COPY == 0 {
			break
		}
		all |= s
	}
	if all&unix.TP_STATUS_LOSING != 0 {
		l.countMissed(b)
	}
	got, err := l.readQueue(b, n)
	// A slot without its frame is not waited for.
	if got == 0 && err == nil {
		b.Missed += n
		got = n
	}
	r.taken(got)
	r.giveBack()
	b.More = true
	return err
}

// takeSlot appends to b the frame in the slot at at.
func takeSlot(b *frame.Batch, at int, head *unix.Tpacket2Hdr, s uint32) {
	mac, n := int(head.Mac), int(head.Snaplen)
	if mac < slotHead+tagRoom+offload.HeaderLen || mac+n > slotSize {
		b.Bad++ // no kernel does that
		return
	}
	if uint32(n) < head.Len {
		b.Missed++ // the rest found no room in the queue
		return
	}
	typ, tci, tagged := uint16(frame.TypeVLAN), head.Vlan_tci, s&unix.TP_STATUS_VLAN_VALID != 0
	if s&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		typ = head.Vlan_tpid
	}
	take(b, received{at: at + mac, n: n, tagged: tagged, typ: typ, tci: tci})
}

// countMissed adds to b what came while there was no room for it, since the last
// time.
func (l *packetLink) countMissed(b *frame.Batch) {
	s, size := &l.rx.stats, uint32(unsafe.Sizeof(l.rx.stats))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(l.fd), unix.SOL_PACKET, unix.PACKET_STATISTICS,
		uintptr(unsafe.Pointer(s)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 {
		b.Missed += int(s.Drops) // and they are zero by now
	}
}
