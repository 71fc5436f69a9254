package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/tap/hostnet"
)

// DHCP (RFC 2131, options RFC 2132), as much as it takes to ask who answers.
const (
	bootpLen      = 236 // of a message before its options
	dhcpServer    = 67  // UDP port
	dhcpClient    = 68
	optPad        = 0
	optType       = 53
	optServer     = 54
	optParameters = 55
	optEnd        = 255
	typeDiscover  = 1
	typeOffer     = 2
)

var dhcpCookie = []byte{99, 130, 83, 99}

// dhcp asks on the bridges that create made which DHCP servers there are, all at
// the same time. Two that know nothing of each other are a common fault.
func (e *exam) dhcp(s *hostnet.State, limit time.Duration) {
	type answer struct {
		bridge  string
		servers []string
		err     error
	}
	var asked []chan answer
	for _, o := range s.Objects {
		l, err := e.host.Link(o.Name)
		if o.Kind != "bridge" || err != nil || !l.Carrier || limit == 0 {
			continue
		}
		done := make(chan answer, 1)
		asked = append(asked, done)
		go func() {
			servers, err := dhcpServers(l.Index, limit)
			done <- answer{o.Name, servers, err}
		}()
	}
	for _, done := range asked {
		a := <-done
		what, list := "bridge "+a.bridge, strings.Join(a.servers, ", ")
		switch {
		case errors.Is(a.err, unix.EPERM):
			e.warn(what, "only root may ask for DHCP servers", "sudo vnetctl check")
		case a.err != nil:
			e.warn(what, "could not be asked for DHCP servers: "+a.err.Error(), "vnetctl check --dhcp 0 leaves that out")
		case len(a.servers) == 0:
			e.ok(what, fmt.Sprintf("no other DHCP server answered within %v", limit))
		case len(a.servers) == 1:
			e.ok(what, "one other DHCP server answered: "+list)
		default:
			e.warn(what, fmt.Sprintf("%d DHCP servers answered, and guests take whichever is first: %s", len(a.servers), list), "stop all but one of them")
		}
	}
}

// dhcpServers asks for an address on an interface, takes none, and lists who
// offered one. The whole time is waited for: some servers try an address out
// before they offer it.
func dhcpServers(index int, limit time.Duration) (servers []string, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := listenPacket(fd, index); err != nil {
		return nil, err
	}
	var mac [6]byte
	_, _ = rand.Read(mac[:]) // never fails
	mac[0] = mac[0]&^1 | 2
	id := binary.BigEndian.Uint32(mac[2:])
	to := &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}
	buf := make([]byte, 2048)
	frame := discover(mac, id)
	deadline := time.Now().Add(limit)
	for asked := (time.Time{}); time.Now().Before(deadline); {
		if time.Since(asked) > limit/2 { // one may be lost: a bridge's port may have come up only now
			if err := unix.Sendto(fd, frame, 0, to); err != nil {
				return servers, err
			}
			asked = time.Now()
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return servers, err
		}
		if err != nil {
			continue
		}
		if server, ok := offer(buf[:n], id); ok && !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	return servers, nil
}

// discover is the question, as an Ethernet frame: the answer shall go to all.
func discover(mac [6]byte, id uint32) []byte {
	m := make([]byte, bootpLen)
	m[0], m[1], m[2] = 1, 1, 6 // request, Ethernet, length of an address
	binary.BigEndian.PutUint32(m[4:], id)
	m[10] = 0x80 // broadcast
	copy(m[28:], mac[:])
	m = append(m, dhcpCookie...)
	m = append(m, optType, 1, typeDiscover, optParameters, 2, 1, 3, optEnd) // mask and router, please
	m = append(m, make([]byte, 300-len(m))...)

	b := append(bytes.Repeat([]byte{0xff}, 6), mac[:]...)
	b = append(b, 8, 0)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+8+len(m)))
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	b = append(b, ip...)
	b = binary.BigEndian.AppendUint16(b, dhcpClient)
	b = binary.BigEndian.AppendUint16(b, dhcpServer)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(m)))
	return append(append(b, 0, 0), m...) // no UDP checksum (RFC 768)
}

// offer reads an Ethernet frame; ok tells whether it is an offer to the question
// of that number. The server is its address and that of its network card.
func offer(b []byte, id uint32) (server string, ok bool) {
	if len(b) < 14+20 || b[12] != 8 || b[13] != 0 || b[14]>>4 != 4 {
		return "", false
	}
	mac, ip := net.HardwareAddr(b[6:12]), b[14:]
	n := int(ip[0]&15) * 4
	if n < 20 || len(ip) < n+8+bootpLen+4 || ip[9] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(ip[n:]) != dhcpServer || binary.BigEndian.Uint16(ip[n+2:]) != dhcpClient {
		return "", false
	}
	m := ip[n+8:]
	if m[0] != 2 || binary.BigEndian.Uint32(m[4:]) != id || !bytes.Equal(m[bootpLen:bootpLen+4], dhcpCookie) {
		return "", false
	}
	from, kind := netip.AddrFrom4([4]byte(ip[12:16])), byte(0)
	for o := m[bootpLen+4:]; len(o) > 1 && o[0] != optEnd; {
		if o[0] == optPad {
			o = o[1:]
			continue
		}
		size := int(o[1])
		if len(o) < 2+size {
			break
		}
		switch {
		case o[0] == optType && size == 1:
			kind = o[2]
		case o[0] == optServer && size == 4:
			from = netip.AddrFrom4([4]byte(o[2:6]))
		}
		o = o[2+size:]
	}
	return fmt.Sprintf("%s (%s)", from, mac), kind == typeOffer
}
