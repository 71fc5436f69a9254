package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/tap/hostnet"
)

const (
	echoType    = 0x88b5 // IEEE 802, local experimental Ethertype 1
	echoTime    = 2 * time.Second
	echoAtMost  = 1000 // other frames that pass meanwhile
	largestEcho = 1 << 17
)

// echoTAP sends a frame into a TAP on the kernel's side, as the bridge does, and
// waits until it comes out of the switch's door. Through a macvtap it goes the
// other way: what is sent on the kernel's side of one leaves by its interface.
func echoTAP(tap hostnet.Link, door string) (time.Duration, error) {
	conn, err := net.Dial("unix", door)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open packet socket: %w", err)
	}
	defer unix.Close(fd)
	frame := echoFrame()
	begin := time.Now()
	if err := conn.SetDeadline(begin.Add(echoTime)); err != nil {
		return 0, err
	}
	send := func() error {
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: tap.Index, Halen: 6})
	}
	await := func() error { return awaitFrame(conn, frame) }
	if tap.Kind == "macvtap" {
		if err := listenPacket(fd, tap.Index); err != nil {
			return 0, err
		}
		send = func() error {
			_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
			return err
		}
		await = func() error { return awaitPacket(fd, frame, begin.Add(echoTime)) }
	}
	found := make(chan error, 1)
	go func() { found <- await() }()
	// The door may not have taken the connection when the first one passes.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := send(); err != nil && !errors.Is(err, unix.ENOBUFS) {
			conn.Close()
			<-found
			return 0, fmt.Errorf("send into %s: %w", tap.Name, err)
		}
		select {
		case err := <-found:
			return time.Since(begin), err
		case <-tick.C:
		}
	}
}

// echoFrame is a broadcast that nobody else sends, from nobody's address.
func echoFrame() []byte {
	frame := append(bytes.Repeat([]byte{0xff}, 6), 0x02, 0, 0, 0, 0, 0)
	_, _ = rand.Read(frame[7:12]) // never fails
	frame = binary.BigEndian.AppendUint16(frame, echoType)
	frame = append(frame, "vnetctl check "+rand.Text()...)
	return append(frame, make([]byte, 60-len(frame)+16)...)
}

// listenPacket makes a packet socket hear what passes an interface, both ways.
func listenPacket(fd, index int) error {
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL})
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		return fmt.Errorf("listen on interface number %d: %w", index, err)
	}
	wait := unix.NsecToTimeval(int64(50 * time.Millisecond))
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
}

// awaitPacket reads a packet socket until the frame comes.
func awaitPacket(fd int, frame []byte, until time.Time) error {
	buf := make([]byte, 2048)
	for range echoAtMost {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("listen: %w", err)
		case bytes.HasPrefix(buf[:n], frame[:46]):
			return nil
		}
		if time.Now().After(until) {
			return os.ErrDeadlineExceeded
		}
	}
	return errors.New("too much else passes to find it")
}

// awaitFrame reads the stream (a length before each frame) until the frame
// comes.
func awaitFrame(r io.Reader, frame []byte) error {
	head := make([]byte, 4)
	for range echoAtMost {
		if _, err := io.ReadFull(r, head); err != nil {
			return fmt.Errorf("read from the switch: %w", err)
		}
		n := binary.BigEndian.Uint32(head)
		if n > largestEcho {
			return fmt.Errorf("the switch announces a frame of %d bytes", n)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return fmt.Errorf("read from the switch: %w", err)
		}
		if bytes.HasPrefix(body, frame[:46]) {
			return nil
		}
	}
	return errors.New("too much else passes to find it")
}
