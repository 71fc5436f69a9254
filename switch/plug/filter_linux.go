package plug

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Classic BPF programs (Documentation/networking/filter.rst of Linux) that look
// at a datagram's source before the kernel queues it. A program for a UDP socket
// sees the datagram from its UDP header on; the IP header is reached by a
// special offset.

const (
	bpfIPHeader = 0xfff00000 // SKF_NET_OFF
	bpfAll      = 1 << 18    // more than any datagram has
)

// onlyFrom has fd receive nothing but what comes from an address. Without a port
// fd is a raw socket.
func onlyFrom(fd int, from netip.AddrPort) error { return filterSource(fd, from, bpfAll, 0) }

// notFrom has fd receive everything but that.
func notFrom(fd int, from netip.AddrPort) error { return filterSource(fd, from, 0, bpfAll) }

// filterSource attaches a program that returns how much is kept of a datagram
// from an address, and of others.
func filterSource(fd int, from netip.AddrPort, same, other uint32) error {
	at, addr := uint32(8), from.Addr().AsSlice() // in an IPv6 header
	if from.Addr().Is4() {
		at = 12
	}
	var prog []unix.SockFilter
	compare := func(size uint16, offset, want uint32) {
		prog = append(prog,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | size, K: offset},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: want})
	}
	for i := 0; i < len(addr); i += 4 {
		compare(unix.BPF_W, bpfIPHeader+at+uint32(i), binary.BigEndian.Uint32(addr[i:]))
	}
	if from.Port() != 0 {
		compare(unix.BPF_H, 0, uint32(from.Port()))
	}
	prog = append(prog, unix.SockFilter{Code: unix.BPF_RET, K: same}, unix.SockFilter{Code: unix.BPF_RET, K: other})
	for i := range prog { // each comparison that fails jumps to the last line
		if prog[i].Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K {
			prog[i].Jf = uint8(len(prog) - 2 - i)
		}
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
	if err != nil {
		return fmt.Errorf("attach socket filter: %w", err)
	}
	return nil
}
