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

// passt(1) is the network of one guest. It gets one end of a pair of sockets and
// QEMU the other, so that there is no path that passt could not reach (as root it
// becomes nobody), and none that is left. passt ends when QEMU's end is closed,
// whoever was killed.

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

// startPassts starts those of the VM's cards, and returns QEMU's ends.
func (v *vm) startPassts() (files []*os.File, err error) {
	for i := range v.Passts {
		f, err := v.startPasst(&v.Passts[i])
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (v *vm) startPasst(p *process) (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	qemus, passts := os.NewFile(uintptr(fds[0]), "QEMU's end"), os.NewFile(uintptr(fds[1]), "passt's end")
	cmd, err := v.run(p, p.Argv, passts)
	_ = passts.Close()
	if err == nil {
		go func() { _ = cmd.Wait() }()
		err = v.await("passt", func() bool { return filtered(p.PID) }, p.alive)
	}
	if err != nil {
		_ = qemus.Close()
		return nil, &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: passtCure(err.Error())}
	}
	return qemus, nil
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
