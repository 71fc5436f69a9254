//go:build linux

package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// openPacket opens a raw socket on an interface, in another process's network namespace if asked. PACKET_QDISC_BYPASS stays
// off: a veth has no queue of its own, and a VM's TAP traffic takes the same road.
func openPacket(l linkSpec, rxBatch int) (link, error) {
	if l.Netns != 0 {
		if err := enterNetns(l.Netns); err != nil {
			return nil, err
		}
	}
	ifi, err := net.InterfaceByName(l.Addr)
	if err != nil {
		return nil, fmt.Errorf("find interface %q: %w", l.Addr, err)
	}
	proto := htons(etherTest)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	// The kernel drops at a full receive queue; give it as much room as a stream's two sockets have together, and more.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind to %q: %w", l.Addr, err)
	}
	return newDgramLink(fd, rxBatch), nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 } // all machines this runs on are little endian

// enterNetns moves the calling thread; the worker's only goroutine is locked to it.
func enterNetns(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace of process %d: %w", pid, err)
	}
	return nil
}
