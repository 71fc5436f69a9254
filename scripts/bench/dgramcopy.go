//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The copy-only limit for VDE plugs: clients are joined in pairs in the order in which they plug in, and datagrams are
// moved between the two with recvmmsg and sendmmsg, up to 64 in a call. It knows no addresses, so a switch on the same
// sockets cannot be much faster. One thread per direction; it waits for a full receiver and loses nothing.

const (
	copyDgrams  = 64
	copyDgramSz = 2048
)

// startDgramCopy starts one.
func startDgramCopy(b *bed, _ *plan) (*running, error) {
	dir := filepath.Join(b.dir, "dgramcopy")
	cmd := exec.Command(selfProgram, "dgramcopy", dir)
	cmd.Env = append(os.Environ(), workerEnv...)
	return startProgram(b, cmd, func(int) linkSpec { return linkSpec{Kind: "vde", Addr: dir} })
}

// runDgramCopy opens DIR/ctl and never returns without an error.
func runDgramCopy(dir string) error {
	runtime.GOMAXPROCS(64)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	door, err := listenStream(linkSpec{Kind: "unix", Addr: filepath.Join(dir, "ctl")})
	if err != nil {
		return err
	}
	for n := 1; ; n += 2 {
		a, err := takeVDE(door, dir, n)
		if err != nil {
			return err
		}
		b, err := takeVDE(door, dir, n+1)
		if err != nil {
			return err
		}
		go pumpDgrams(a, b)
		go pumpDgrams(b, a)
	}
}

// takeVDE waits for a client and does the switch's side of the handshake, as far as this bench's own clients need it.
func takeVDE(door int, dir string, n int) (int, error) {
	ctl, err := accept(door)
	if err != nil {
		return -1, err
	}
	req := make([]byte, 256)
	if k, err := unix.Read(ctl, req); err != nil || k < 12+vdeAddrSize {
		return -1, fmt.Errorf("request of %d bytes: %w", k, err)
	}
	client, err := vdeReply(req[12 : 12+vdeAddrSize])
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 2<<20) // as vswitch asks for
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: client}); err != nil {
		return -1, fmt.Errorf("connect %s: %w", client, err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%03d.%d", n, fd))
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, fmt.Errorf("bind %s: %w", path, err)
	}
	reply := vdeRequest(path, "")[12:]
	if _, err := unix.Write(ctl, reply); err != nil {
		return -1, fmt.Errorf("answer: %w", err)
	}
	return fd, nil
}

func pumpDgrams(from, to int) {
	runtime.LockOSThread()
	var (
		buf  [copyDgrams][copyDgramSz]byte
		iov  [copyDgrams]unix.Iovec
		msgs [copyDgrams]mmsghdr
	)
	for i := range msgs {
		iov[i].Base = &buf[i][0]
		msgs[i].hdr.Iov, msgs[i].hdr.Iovlen = &iov[i], 1
	}
	for {
		for i := range iov {
			iov[i].Len = copyDgramSz
		}
		n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(from), uintptr(unsafe.Pointer(&msgs[0])), copyDgrams, unix.MSG_WAITFORONE, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			fmt.Fprintln(os.Stderr, "dgramcopy: recvmmsg:", e)
			return
		}
		for i := range int(n) {
			iov[i].Len = uint64(msgs[i].n)
		}
		for done := 0; done < int(n); {
			k, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(to), uintptr(unsafe.Pointer(&msgs[done])), n-uintptr(done), 0, 0, 0)
			if e != 0 && e != unix.EINTR && e != unix.ENOBUFS {
				fmt.Fprintln(os.Stderr, "dgramcopy: sendmmsg:", e)
				return
			}
			if e == 0 {
				done += int(k)
			}
		}
	}
}
