package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"strconv"

	"vnetkit/cmd/vmrun/netdev"
)

// vmctl gives each VM an SSH port by its name, and so do we, so that scripts
// find it: 10022 and the name's hash modulo 100. Two names may have the same;
// who comes second gets the next that is free.
const (
	firstSSHPort = 10022
	sshPorts     = 100
)

// sshPort is the port that a name would have on a machine where all are free.
func sshPort(name string) int {
	// As Rust hashes a str: its bytes and 0xff, with SipHash-1-3 and a key of zeros.
	return firstSSHPort + int(sipHash13(append([]byte(name), 0xff))%sshPorts)
}

// sipHash13 is SipHash (Aumasson and Bernstein, 2012) with one round for each
// word and three at the end, and a key of zeros.
func sipHash13(msg []byte) uint64 {
	v := [4]uint64{0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573}
	round := func() {
		v[0] += v[1]
		v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
		v[0] = bits.RotateLeft64(v[0], 32)
		v[2] += v[3]
		v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
		v[0] += v[3]
		v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
		v[2] += v[1]
		v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
		v[2] = bits.RotateLeft64(v[2], 32)
	}
	n := len(msg)
	for ; len(msg) >= 8; msg = msg[8:] {
		m := binary.LittleEndian.Uint64(msg)
		v[3] ^= m
		round()
		v[0] ^= m
	}
	var last [8]byte
	copy(last[:], msg)
	last[7] = byte(n)
	m := binary.LittleEndian.Uint64(last[:])
	v[3] ^= m
	round()
	v[0] ^= m
	v[2] ^= 0xff
	for range 3 {
		round()
	}
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

// freeSSHPort is the name's port, or the next one that nobody has, or any.
func freeSSHPort(name string, free func(port int) bool) (int, error) {
	first := sshPort(name)
	for i := range sshPorts {
		if p := firstSSHPort + (first-firstSSHPort+i)%sshPorts; free(p) {
			return p, nil
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port for SSH: %w", err)
	}
	return ln.Addr().(*net.TCPAddr).Port, ln.Close()
}

// chosenPorts are those that this vmrun has chosen. QEMU takes them later: until then
// no other vmrun on this host may choose the same.
type chosenPorts struct{ reserved []io.Closer }

// take tells whether nobody on this host has a TCP port, and keeps it from other
// vmruns. A program that is none may take it before QEMU does, which then says so.
func (c *chosenPorts) take(port int) bool {
	mine, err := reservePort(port)
	if err != nil {
		return false
	}
	for _, host := range []string{"127.0.0.1", ""} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			_ = mine.Close()
			return false
		}
		_ = ln.Close()
	}
	c.reserved = append(c.reserved, mine)
	return true
}

// notKept is a port that cannot be kept from others.
type notKept struct{}

func (notKept) Close() error { return nil }

// release is for when QEMU has them.
func (c *chosenPorts) release() {
	for _, r := range c.reserved {
		_ = r.Close()
	}
}

// withSSH has a user network forward a port to the guest's SSH.
func withSSH(n netdev.Net, name string, free func(int) bool) (netdev.Net, int, error) {
	switch v := n.Get("ssh"); v {
	case "off", "no":
		return n, 0, nil
	case "", "on", "auto":
		port, err := freeSSHPort(name, free)
		if err != nil {
			return n, 0, err
		}
		return n.Add("hostfwd", fmt.Sprintf("tcp:127.0.0.1:%d-:22", port)), port, nil
	default:
		port, err := strconv.Atoi(v)
		if err != nil || port < 1 || port > 65535 {
			return n, 0, &usageError{"--net user: ssh=" + v + ": want a port, or off", "for example ssh=10022"}
		}
		if !free(port) {
			return n, 0, errors.Join(fmt.Errorf("port %d is in use: ss -tlnp sport = :%d says by whom", port, port))
		}
		return n.Add("hostfwd", fmt.Sprintf("tcp:127.0.0.1:%d-:22", port)), port, nil
	}
}
