package linktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace for one test. It has no name and no process
// of its own: it ends, with all devices in it, when the test's process does.
type Namespace struct {
	t  testing.TB
	fd int
}

// NewNamespace makes a namespace whose devices say nothing by themselves: IPv6
// is off. It skips the test where that is not permitted.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	ns := &Namespace{t: t, fd: -1}
	err := onThread(func() error {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		return err
	})
	if errors.Is(err, unix.EPERM) {
		t.Skipf("a network namespace takes root: %v", err)
	}
	if err != nil {
		t.Fatalf("make network namespace: %v", err)
	}
	t.Cleanup(func() { unix.Close(ns.fd) })
	for _, which := range []string{"default", "all"} {
		ns.Sysctl("net/ipv6/conf/"+which+"/disable_ipv6", "1")
	}
	return ns
}

// onThread calls f on a thread that ends with it. If f ends its goroutine, as
// t.Fatal does, the caller's ends, too.
func onThread(f func() error) (err error) {
	done := make(chan struct{})
	returned := false
	go func() {
		defer close(done)
		runtime.LockOSThread()
		err = f()
		returned = true
	}()
	<-done
	if !returned {
		runtime.Goexit()
	}
	return err
}

// Do calls f on a thread in the namespace.
func (ns *Namespace) Do(f func() error) {
	ns.t.Helper()
	err := onThread(func() error {
		if err := unix.Setns(ns.fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		ns.t.Fatalf("in the test's network namespace: %v", err)
	}
}

// Path is a name that others can open the namespace by.
func (ns *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.fd) }

// FD is a descriptor of the namespace, good until the test ends.
func (ns *Namespace) FD() int { return ns.fd }

// Sysctl writes one of the namespace's settings.
func (ns *Namespace) Sysctl(key, value string) {
	ns.t.Helper()
	ns.Do(func() error {
		err := os.WriteFile("/proc/sys/"+key, []byte(value), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil // this kernel has no such thing
		}
		return err
	})
}

// Device plugs a Station into a network device of the namespace: it sends what
// the device sends out, and receives what comes in by it. With header each frame
// is behind a virtio_net_hdr.
func (ns *Namespace) Device(name string, header bool) *Station {
	ns.t.Helper()
	var file *os.File
	ns.Do(func() (err error) {
		file, err = packetSocket(name, header)
		return err
	})
	wire := deviceWire{file, 0}
	if header {
		wire.header = 10
	}
	return NewStation(ns.t, wire)
}

func packetSocket(name string, header bool) (*os.File, error) {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	const room = 64 << 20 // so that nothing is lost while a test is elsewhere
	for _, o := range []struct{ level, opt, value int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, room},
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, map[bool]int{true: 1}[header]},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("packet socket: option %d: %w", o.opt, err)
		}
	}
	const all = 0x0300 // ETH_P_ALL, big-endian
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifc.Index}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet socket on "+name), nil
}

// deviceWire is a packet socket on a device. Bytes before each frame belong to
// its virtio_net_hdr.
type deviceWire struct {
	*os.File
	header int
}

// Send implements Wire.
func (w deviceWire) Send(f []byte) error {
	_, err := w.Write(f)
	return err
}

// Recv implements Wire.
func (w deviceWire) Recv(buf []byte) (n int, err error) {
	raw, err := w.SyscallConn()
	if err != nil {
		return 0, err
	}
	var recvErr error
	err = raw.Read(func(fd uintptr) bool {
		n, recvErr = w.recv(int(fd), buf)
		return !errors.Is(recvErr, unix.EAGAIN)
	})
	return n, errors.Join(err, recvErr)
}

// Poll looks for a frame without waiting.
func (w deviceWire) Poll(buf []byte) (n int, ok bool, err error) {
	raw, err := w.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var recvErr error
	err = raw.Control(func(fd uintptr) { n, recvErr = w.recv(int(fd), buf) })
	if errors.Is(recvErr, unix.EAGAIN) {
		return 0, false, err
	}
	return n, recvErr == nil, errors.Join(err, recvErr)
}

// recv receives a frame. The kernel keeps the outer tag apart: it is put back,
// and the header's checksum start is made that of the frame with it.
func (w deviceWire) recv(fd int, buf []byte) (int, error) {
	oob := make([]byte, 128)
	n, oobn, flags, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT)
	switch {
	case err != nil:
		return 0, err
	case flags&unix.MSG_TRUNC != 0:
		return 0, fmt.Errorf("a frame of more than %d bytes", len(buf))
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, err
	}
	for _, m := range msgs {
		const hasTag, hasType = 1 << 4, 1 << 6 // TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 20 {
			continue
		}
		if status := binary.NativeEndian.Uint32(m.Data); status&hasTag != 0 {
			at := w.header + 12
			copy(buf[at+4:], buf[at:n])
			typ := uint16(0x8100)
			if status&hasType != 0 {
				typ = binary.NativeEndian.Uint16(m.Data[18:])
			}
			binary.BigEndian.PutUint16(buf[at:], typ)
			binary.BigEndian.PutUint16(buf[at+2:], binary.NativeEndian.Uint16(m.Data[16:]))
			n += 4
			if start := buf[6:8]; w.header > 0 && buf[0]&1 != 0 {
				binary.NativeEndian.PutUint16(start, binary.NativeEndian.Uint16(start)+4)
			}
		}
	}
	return n, nil
}
