//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// tinyTCP is as much of TCP (RFC 9293) as a stream client needs to send bytes to a kernel, or to take them from one,
// at full speed: in segments of the MTU, as a guest without offload does. It sends zeros, whose checksum costs nothing.
type tinyTCP struct {
	*streamLink
	mss int

	synced, owed  bool
	port          uint16 // the kernel's
	una, nxt, rcv uint32 // sent and not acknowledged; to send next; to come next
	window        int    // that the kernel offers
	scale         uint8
	dups          int
	received      int64

	out []byte // a batch of segments
}

const (
	tinyPort  = 9
	tinyBatch = 64
	tinyHead  = 14 + 20 + 20

	// What it lets a kernel send ahead, and sends ahead itself: less than a TAP queues without loss, 1,000 frames.
	tinyScale  = 6
	tinyWindow = 1 << 20

	flagSYN, flagPSH, flagACK = 2, 8, 16
)

var (
	tinyMAC, hostMAC = [6]byte{2, 0, 0, 0, 0, 9}, [6]byte{2, 0, 0, 0, 0, 1}
	tinyIP, hostIP   = netip.MustParseAddr("10.77.0.9").As4(), netip.MustParseAddr("10.77.0.1").As4()
)

func newTinyTCP(path string, mtu int) (*tinyTCP, error) {
	l, err := open(linkSpec{Kind: "unix", Addr: path}, tinyBatch, bufStream)
	if err != nil {
		return nil, err
	}
	c := &tinyTCP{streamLink: l.(*streamLink), mss: mtu - 40}
	c.out = make([]byte, tinyBatch*(4+tinyHead+c.mss))
	patience := unix.Timeval{Usec: 200_000} // then what was sent is lost
	return c, unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
}

// take looks at a frame that came in.
func (c *tinyTCP) take(f []byte) {
	if len(f) < tinyHead || binary.BigEndian.Uint16(f[12:]) != 0x0800 || f[14] != 0x45 || f[23] != unix.IPPROTO_TCP {
		return
	}
	end := 14 + int(binary.BigEndian.Uint16(f[16:]))
	head := 34 + int(f[46]>>4)*4
	if end > len(f) || head < tinyHead || head > end {
		return
	}
	tcp, seq, ack, flags, n := f[34:end], binary.BigEndian.Uint32(f[38:]), binary.BigEndian.Uint32(f[42:]), f[47], end-head
	if flags&flagSYN != 0 {
		c.port, c.rcv, c.synced, c.owed = binary.BigEndian.Uint16(tcp), seq+1, true, true
		c.scale = windowScale(f[tinyHead:head])
	}
	if flags&flagACK != 0 {
		switch {
		case int32(ack-c.una) > 0:
			c.una, c.dups = ack, 0
			if int32(c.una-c.nxt) > 0 { // it had what was sent again
				c.nxt = c.una
			}
		case n == 0 && c.una != c.nxt:
			c.dups++
		}
		if c.window = int(binary.BigEndian.Uint16(tcp[14:])); flags&flagSYN == 0 {
			c.window <<= c.scale
		}
	}
	if n > 0 {
		c.owed = true
		if seq == c.rcv {
			c.rcv += uint32(n)
			c.received += int64(n)
		}
	}
}

// windowScale finds the option of that name (RFC 7323).
func windowScale(options []byte) uint8 {
	for len(options) > 1 && options[0] != 0 {
		size := 1
		if options[0] != 1 {
			size = max(int(options[1]), 2)
		}
		if options[0] == 3 && len(options) > 2 {
			return min(options[2], 14)
		}
		options = options[min(size, len(options)):]
	}
	return 0
}

// segment writes a frame, behind its length, with n bytes of data or options, into b and returns its size.
func (c *tinyTCP) segment(b []byte, flags byte, seq uint32, options []byte, n int) int {
	f := b[4:]
	binary.BigEndian.PutUint32(b, uint32(tinyHead+n+len(options)))
	copy(f, hostMAC[:])
	copy(f[6:], tinyMAC[:])
	copy(f[12:], []byte{8, 0, 0x45, 0})
	ip, tcp := f[14:34], f[34:tinyHead+len(options)]
	binary.BigEndian.PutUint16(ip[2:], uint16(40+n+len(options)))
	copy(ip[4:], []byte{0, 0, 0x40, 0, 64, unix.IPPROTO_TCP, 0, 0})
	copy(ip[12:], tinyIP[:])
	copy(ip[16:], hostIP[:])
	binary.BigEndian.PutUint16(ip[10:], ^inetSum(ip, 0))
	binary.BigEndian.PutUint16(tcp, tinyPort)
	binary.BigEndian.PutUint16(tcp[2:], c.port)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], c.rcv)
	tcp[12], tcp[13] = byte((20+len(options))/4<<4), flags
	binary.BigEndian.PutUint16(tcp[14:], tinyWindow>>tinyScale)
	copy(tcp[16:], []byte{0, 0, 0, 0})
	copy(tcp[20:], options)
	length := uint32(20 + n + len(options))
	binary.BigEndian.PutUint16(tcp[16:], ^inetSum(tcp, uint32(inetSum(ip[12:], 0))+unix.IPPROTO_TCP+length))
	return 4 + tinyHead + n + len(options)
}

// inetSum is RFC 1071's sum.
func inetSum(b []byte, s uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func (c *tinyTCP) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(c.fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("write: %w", err)
		}
		b = b[max(n, 0):]
	}
	return nil
}

// look takes what has arrived; with wait it waits for something, but not for ever.
func (c *tinyTCP) look(wait bool) error {
	c.flags = unix.MSG_DONTWAIT
	if wait {
		c.flags = 0
	}
	err := c.recv(c)
	if errors.Is(err, unix.EAGAIN) {
		if wait {
			c.nxt = c.una
		}
		return nil
	}
	return err
}

// synOptions are the segment size and the window scale.
func (c *tinyTCP) synOptions() []byte {
	return []byte{2, 4, byte((c.mss) >> 8), byte(c.mss), 1, 3, 3, tinyScale}
}

// sink takes what a kernel sends, which connects to it, until a time.
func (c *tinyTCP) sink(until time.Time) error {
	small := make([]byte, 128)
	for time.Now().Before(until) {
		if err := c.look(true); err != nil {
			return err
		}
		switch {
		case !c.owed:
			continue
		case c.received == 0 && c.una == 0:
			if err := c.write(small[:c.segment(small, flagSYN|flagACK, 0, c.synOptions(), 0)]); err != nil {
				return err
			}
		default:
			if err := c.write(small[:c.segment(small, flagACK, 1, nil, 0)]); err != nil {
				return err
			}
		}
		c.owed = false
	}
	return nil
}

// connect has the kernel's listener accept.
func (c *tinyTCP) connect() error {
	small := make([]byte, 128)
	c.port = tinyPort
	for end := time.Now().Add(5 * time.Second); !c.synced; {
		if time.Now().After(end) {
			return errors.New("the host's TCP does not answer")
		}
		if err := c.write(small[:c.segment(small, flagSYN, 0, c.synOptions(), 0)]); err != nil {
			return err
		}
		if err := c.look(true); err != nil {
			return err
		}
	}
	c.una, c.nxt = 1, 1
	return c.write(small[:c.segment(small, flagACK, 1, nil, 0)])
}

// source sends until a time.
func (c *tinyTCP) source(until time.Time) error {
	for time.Now().Before(until) {
		room := min(c.window, tinyWindow) - int(c.nxt-c.una)
		n := min(room/c.mss, tinyBatch)
		if err := c.look(n <= 0); err != nil {
			return err
		}
		if c.dups >= 3 {
			c.nxt, c.dups = c.una, -tinyBatch // what was sent behind the loss says so too
			continue
		}
		at := 0
		for range n {
			at += c.segment(c.out[at:], flagACK, c.nxt, nil, c.mss)
			c.nxt += uint32(c.mss)
		}
		if err := c.write(c.out[:at]); err != nil {
			return err
		}
	}
	return nil
}
