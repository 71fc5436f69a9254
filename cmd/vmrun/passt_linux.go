package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/mgmt/api"
)

// passt(1) is the network of one guest. QEMU listens for it in the VM's directory,
// as it does for a switch, and takes another connection when one has ended. The
// keeper connects and gives passt the socket: so passt needs no path that it could
// not reach (as root it becomes nobody), ends when QEMU's end is closed, whoever
// was killed, and can be started again when it was killed itself.

// passtArgs start passt on its descriptor 3.
func passtArgs(n netdev.Net) []string {
	argv := []string{"passt", "-f", "-F", "3"}
	for _, o := range [][2]string{{"tcp-ports", "-t"}, {"udp-ports", "-u"}} {
		for _, v := range n.All(o[0]) {
			argv = append(argv, o[1], v)
		}
	}
	for _, o := range [][2]string{{"address", "-a"}, {"gateway", "-g"}, {"interface", "-i"}} {
		if v := n.Get(o[0]); v != "" {
			argv = append(argv, o[1], v)
		}
	}
	return argv
}

// startPassts starts those of the VM's cards.
func (v *vm) startPassts() error {
	for i := range v.Passts {
		if err := v.startPasst(&v.Passts[i]); err != nil {
			return err
		}
	}
	return v.save()
}

func (v *vm) startPasst(p *passt) error {
	var socket *os.File
	var err error
	connected := func() bool { // QEMU answers its monitor before it listens
		socket, err = connect(p.Path)
		return err == nil
	}
	if e := v.await("QEMU", connected, v.QEMU.alive); e != nil {
		return fmt.Errorf("connect passt to QEMU: %w (%w)", err, e)
	}
	cmd, err := v.run(&p.process, p.Argv, socket)
	_ = socket.Close()
	if err != nil {
		return &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: passtCure(err.Error())}
	}
	go func() { _ = cmd.Wait() }()
	if err := v.await("passt", func() bool { return filtered(p.PID) }, p.alive); err != nil {
		return &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: passtCure(err.Error())}
	}
	return nil
}

// connect returns a socket that is connected to path, to be given away.
func connect(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// filtered tells whether a process has restricted its system calls, which is the
// last that passt does before it looks at frames.
func filtered(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && bytes.Contains(b, []byte("\nSeccomp:\t2\n"))
}

// passtCure is what helps against what passt says.
func passtCure(said string) string {
	for _, c := range [][2]string{
		{"not usable", "passt gives the guest this host's own address and needs an interface that has one and a default route; or say them all: --net passt,interface=IF,address=ADDRESS,gateway=GATEWAY"},
		{"Failed to bind", "another program has the port, or only root may have it: choose another, as in tcp-ports=2222:22"},
		{"ort specifier", "write [ADDRESS/]PORT[:PORT OF THE GUEST], as in tcp-ports=127.0.0.1/2222:22"},
		{"namespace", "passt shuts itself in with namespaces: see sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns"},
		{"ermission denied", "see whether a security module (AppArmor: dmesg) keeps passt from it"},
	} {
		if strings.Contains(said, c[0]) {
			return c[1]
		}
	}
	return "man passt"
}
