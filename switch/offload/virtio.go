package offload

import (
	"encoding/binary"
	"errors"
	"fmt"

	"vnetkit/switch/frame"
)

// HeaderLen is the size of struct virtio_net_hdr without num_buffers, as TAPs
// and packet sockets have it. Its numbers are in the machine's order.
const HeaderLen = 10

// Values of struct virtio_net_hdr (virtio 1.2, 5.1.6).
const (
	flagNeedsCsum = 1
	flagDataValid = 2

	gsoNone = 0
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoUDP  = 5 // UDP_L4
	gsoECN  = 0x80
)

// maxSegments bounds what one frame can become. TCP's smallest segment size that
// Linux uses, 48 bytes, gives fewer.
const maxSegments = 2048

// ErrBad is in every error that says why an offload header cannot be believed.
var ErrBad = errors.New("bad offload header")

var (
	errCsum    = fmt.Errorf("%w: checksum outside of the frame", ErrBad)
	errType    = fmt.Errorf("%w: unknown type", ErrBad)
	errSize    = fmt.Errorf("%w: segments of no bytes, or too many", ErrBad)
	errHeaders = fmt.Errorf("%w: not a frame of the type it says", ErrBad)
	errShort   = fmt.Errorf("%w: cut off", ErrBad)
)

// Parse reads the header h of frame f, from a kernel or from somebody who has
// every reason to lie, and checks it against f. The errors are made in advance:
// whoever sends nonsense gets no memory for it.
func Parse(h []byte, f frame.Frame) (frame.Offload, error) {
	var o frame.Offload
	if len(h) < HeaderLen {
		return o, errShort
	}
	if h[0]&flagDataValid != 0 {
		o.Flags |= frame.DataValid
	}
	if h[0]&flagNeedsCsum != 0 {
		o.Flags |= frame.NeedsCsum
		o.CsumStart, o.CsumOffset = binary.NativeEndian.Uint16(h[6:]), binary.NativeEndian.Uint16(h[8:])
		if o.CsumStart < frame.HeaderLen || int(o.CsumStart)+int(o.CsumOffset)+2 > len(f) {
			return frame.Offload{}, errCsum
		}
	}
	if h[1] == gsoNone {
		return o, nil
	}
	switch h[1] &^ gsoECN {
	case gsoTCP4:
		o.GSO = frame.GSOTCP4
	case gsoTCP6:
		o.GSO = frame.GSOTCP6
	case gsoUDP:
		o.GSO = frame.GSOUDP
	default:
		return frame.Offload{}, errType
	}
	if h[1]&gsoECN != 0 {
		o.Flags |= frame.ECN
	}
	o.Size = binary.NativeEndian.Uint16(h[4:])
	if err := checkGSO(&o, f); err != nil {
		return frame.Offload{}, err
	}
	return o, nil
}

// checkGSO checks what o says of super-frame f and fills in the rest.
func checkGSO(o *frame.Offload, f frame.Frame) error {
	var l layout
	switch {
	case !l.find(f) || l.end != len(f):
		return errHeaders
	case (l.proto == protoUDP) != (o.GSO == frame.GSOUDP):
		return errHeaders
	case o.GSO == frame.GSOTCP4 && l.v6 || o.GSO == frame.GSOTCP6 && !l.v6:
		return errHeaders
	case o.Flags&frame.NeedsCsum != 0 && (int(o.CsumStart) != l.l4 || int(o.CsumOffset) != l.csumOffset()):
		return errCsum
	}
	payload := l.end - l.head
	switch {
	case o.Size == 0 || payload/int(o.Size) >= maxSegments:
		return errSize
	case payload <= int(o.Size): // one segment is no super-frame
		o.GSO, o.Size = frame.GSONone, 0
		o.Flags &^= frame.ECN
	default:
		o.HeadLen = uint16(l.head)
	}
	return nil
}

// SetHeadLen makes header h say that n bytes of its frame are headers.
func SetHeadLen(h []byte, n int) { binary.NativeEndian.PutUint16(h[2:], uint16(n)) }

// Put writes o into h as Parse reads it. moved is how many bytes the frame has
// become longer, before its IP header, since o was made.
func Put(h []byte, o frame.Offload, moved int) {
	o = o.Moved(moved)
	clear(h[:HeaderLen])
	if o.Flags&frame.NeedsCsum != 0 {
		h[0] |= flagNeedsCsum
	} else if o.Flags&frame.DataValid != 0 {
		h[0] |= flagDataValid
	}
	switch o.GSO {
	case frame.GSOTCP4:
		h[1] = gsoTCP4
	case frame.GSOTCP6:
		h[1] = gsoTCP6
	case frame.GSOUDP:
		h[1] = gsoUDP
	}
	if o.Flags&frame.ECN != 0 {
		h[1] |= gsoECN
	}
	binary.NativeEndian.PutUint16(h[2:], o.HeadLen)
	binary.NativeEndian.PutUint16(h[4:], o.Size)
	binary.NativeEndian.PutUint16(h[6:], o.CsumStart)
	binary.NativeEndian.PutUint16(h[8:], o.CsumOffset)
}
