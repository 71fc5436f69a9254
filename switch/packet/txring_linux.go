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
	txSlots = 4 * perBlock

	// In a slot that is sent the header and the frame stand behind struct
	// tpacket2_hdr: TPACKET2_HDRLEN less a struct sockaddr_ll, aligned.
	txHead = 32
	txMax  = slotSize - txHead - offload.HeaderLen
)

// txRing is memory that the kernel sends from (PACKET_TX_RING, packet(7)): one
// system call sends what is in it, and no list of messages has to be read. It has
// a socket of its own; the other one sends what is too long, and whatever the
// ring does not take.
type txRing struct {
	fd   int
	mem  []byte
	at   [txSlots]uint32 // where in mem each slot begins
	next int             // the slot that the kernel looks at next
}

// openTxRing opens a ring of an interface. It receives nothing.
func openTxRing(index int, bypass bool) (*txRing, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	r := &txRing{fd: fd}
	if err := r.open(index, bypass); err != nil {
		_ = r.close()
		return nil, err
	}
	return r, nil
}

func (r *txRing) open(index int, bypass bool) error {
	opts := []struct {
		name       string
		opt, value int
	}{{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR, 1}, {"PACKET_QDISC_BYPASS", unix.PACKET_QDISC_BYPASS, 1}}
	for _, o := range opts {
		if o.opt == unix.PACKET_QDISC_BYPASS && !bypass {
			continue
		}
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, o.opt, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	mem, err := mapRing(r.fd, unix.PACKET_TX_RING, txSlots/perBlock)
	if err != nil {
		return err
	}
	r.mem = mem
	for i := range r.at {
		r.at[i] = slotAt(i)
	}
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func (r *txRing) close() (err error) {
	if r == nil {
		return nil
	}
	if r.mem != nil {
		err = unix.Munmap(r.mem)
	}
	if e := unix.Close(r.fd); err == nil {
		err = e
	}
	return err
}

// slot is number n behind the next one.
func (r *txRing) slot(n int) (at uint32, head *unix.Tpacket2Hdr) {
	at = r.at[(r.next+n)%txSlots]
	return at, (*unix.Tpacket2Hdr)(unsafe.Pointer(&r.mem[at]))
}

// fits tells whether r's frame may go by the ring of an interface with this MTU.
// The kernel looks at the length of frames that come another way.
func fits(b *frame.Batch, r frame.Ref, mtu int) bool {
	n := r.Edit.Len(int(r.Len))
	if n > txMax || n > mtu+frame.HeaderLen {
		return false
	}
	o := b.Offload(r)
	return o == nil || o.GSO == frame.GSONone
}

// send sends the first of refs, as many as fit, and returns how many the kernel
// took. refs are no more than there are slots.
func (r *txRing) send(b *frame.Batch, refs []frame.Ref, mtu int) int {
	n := 0
	for n < len(refs) && fits(b, refs[n], mtu) {
		at, head := r.slot(n)
		if atomic.LoadUint32(&head.Status) != unix.TP_STATUS_AVAILABLE {
			break // it is still on its way
		}
		head.Len = uint32(r.put(at+txHead, b, refs[n]))
		atomic.StoreUint32(&head.Status, unix.TP_STATUS_SEND_REQUEST)
		n++
	}
	if n == 0 {
		return 0
	}
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(r.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			break // what went wrong shows in the slots, and by the other socket
		}
	}
	return r.sent(n)
}

// sent returns how many of n frames the kernel took, and takes the others back.
func (r *txRing) sent(n int) int {
	took := 0
	for ; took < n; took++ {
		_, head := r.slot(took)
		if s := atomic.LoadUint32(&head.Status); s&(unix.TP_STATUS_SEND_REQUEST|unix.TP_STATUS_WRONG_FORMAT) != 0 {
			break
		}
	}
	for i := took; i < n; i++ { // the kernel looks at them in a system call only
		_, head := r.slot(i)
		atomic.StoreUint32(&head.Status, unix.TP_STATUS_AVAILABLE)
	}
	r.next = (r.next + took) % txSlots
	return took
}

// put writes a frame and its header, and returns how long they are. The kernel
// copies as much as the header says is headers, and would refer to the rest where
// it is: to have it copy all, the header says so.
func (r *txRing) put(at uint32, b *frame.Batch, ref frame.Ref) int {
	place := r.mem[at : at+offload.HeaderLen+txMax]
	clear(place[:offload.HeaderLen])
	if o := b.Offload(ref); o != nil {
		offload.Put(place, *o, ref.Edit.Len(0))
	}
	whole := ref.Edit.Append(place[:offload.HeaderLen], b.Frame(ref))
	offload.SetHeadLen(place, len(whole)-offload.HeaderLen)
	return len(whole)
}
