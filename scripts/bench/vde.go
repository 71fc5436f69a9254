//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A VDE plug, protocol version 3 as libvdeplug 4 speaks it: a request on DIR/ctl names our datagram socket, the reply
// names the switch's; both ends are connected to each other, and the ctl connection lives as long as the plug.
const (
	vdeMagic    = 0xfeedface
	vdeVersion  = 3
	vdeNewPort  = 0
	vdeAddrSize = 110 // struct sockaddr_un
)

// vdeRequest asks for any free port.
func vdeRequest(path, description string) []byte {
	b := binary.NativeEndian.AppendUint32(nil, vdeMagic)
	b = binary.NativeEndian.AppendUint32(b, vdeVersion)
	b = binary.NativeEndian.AppendUint32(b, vdeNewPort)
	addr := make([]byte, vdeAddrSize)
	binary.NativeEndian.PutUint16(addr, unix.AF_UNIX)
	copy(addr[2:], path)
	return append(append(b, addr...), description...)
}

// vdeReply returns the path of the switch's socket.
func vdeReply(b []byte) (string, error) {
	if len(b) != vdeAddrSize || binary.NativeEndian.Uint16(b) != unix.AF_UNIX {
		return "", fmt.Errorf("reply of %d bytes is not a socket address", len(b))
	}
	path, _, _ := bytes.Cut(b[2:], []byte{0})
	if len(path) == 0 {
		return "", errors.New("reply names no socket")
	}
	return string(path), nil
}

var vdeSequence atomic.Uint32 // one process may plug in many times

func openVDE(dir string, rxBatch int) (link, error) {
	ctl, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	data, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(ctl)
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := plugVDE(dir, ctl, data); err != nil {
		unix.Close(ctl)
		unix.Close(data)
		return nil, err
	}
	l := newDgramLink(data, rxBatch)
	l.keep = ctl
	return l, nil
}

func plugVDE(dir string, ctl, data int) error {
	if err := unix.Connect(ctl, &unix.SockaddrUnix{Name: filepath.Join(dir, "ctl")}); err != nil {
		return fmt.Errorf("connect %s: %w", filepath.Join(dir, "ctl"), err)
	}
	own := filepath.Join(dir, fmt.Sprintf(".%05d-%05d", os.Getpid(), vdeSequence.Add(1)))
	if err := unix.Bind(data, &unix.SockaddrUnix{Name: own}); err != nil {
		return fmt.Errorf("bind %s: %w", own, err)
	}
	defer os.Remove(own)
	if _, err := unix.Write(ctl, vdeRequest(own, fmt.Sprintf("bench: user=bench pid=%d", os.Getpid()))); err != nil {
		return fmt.Errorf("send the VDE request: %w", err)
	}
	tv := unix.NsecToTimeval(int64(3 * time.Second)) // an old vde_switch without a free port never answers
	unix.SetsockoptTimeval(ctl, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	reply := make([]byte, vdeAddrSize)
	n, err := unix.Read(ctl, reply)
	if err != nil {
		return fmt.Errorf("read the VDE reply: %w", err)
	}
	to, err := vdeReply(reply[:n])
	if err != nil {
		return fmt.Errorf("read the VDE reply: %w", err)
	}
	if err := unix.Connect(data, &unix.SockaddrUnix{Name: to}); err != nil {
		return fmt.Errorf("connect %s: %w", to, err)
	}
	return nil
}
