package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	echoType    = 0x88b5 // IEEE 802, local experimental Ethertype 1
	echoTime    = 2 * time.Second
	echoAtMost  = 1000 // other frames that pass meanwhile
	largestEcho = 1 << 17
)

// echoTAP sends a frame into a TAP on the kernel's side, as the bridge does, and
// waits until it comes out of the switch's door.
func echoTAP(tap, door string) (time.Duration, error) {
	conn, err := net.Dial("unix", door)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ifi, err := net.InterfaceByName(tap)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open packet socket: %w", err)
	}
	defer unix.Close(fd)
	frame := append(bytes.Repeat([]byte{0xff}, 6), 0x02, 0, 0, 0, 0, 0)
	_, _ = rand.Read(frame[7:12]) // never fails
	frame = binary.BigEndian.AppendUint16(frame, echoType)
	frame = append(frame, "vnetctl check "+rand.Text()...)
	frame = append(frame, make([]byte, 60-len(frame)+16)...)
	begin := time.Now()
	if err := conn.SetDeadline(begin.Add(echoTime)); err != nil {
		return 0, err
	}
	found := make(chan error, 1)
	go func() { found <- awaitFrame(conn, frame) }()
	// The door may not have taken the connection when the first one passes.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Halen: 6}); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return 0, fmt.Errorf("send into %s: %w", tap, err)
		}
		select {
		case err := <-found:
			return time.Since(begin), err
		case <-tick.C:
		}
	}
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
