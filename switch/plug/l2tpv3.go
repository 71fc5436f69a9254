package plug

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strings"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// L2TPv3 is the port kind "l2tpv3": an unmanaged Ethernet pseudowire (RFC 3931),
// over UDP or over IP itself. QEMU's -netdev l2tpv3 and Linux's "ip l2tp" speak it.
func L2TPv3() link.Kind {
	return netKind("l2tpv3", `l2tpv3:LADDR:LPORT,remote=RADDR:RPORT,session=N[,KEY=VALUE]...
                                 QEMU's -netdev l2tpv3 or the kernel's "ip l2tp" over UDP; without ports over
                                 IP itself (root). Keys: txsession= rxsession= cookie= txcookie= rxcookie=
                                 (8 or 16 hex digits) counter=on offset=N`, parseL2TPv3)
}

// l2tp is what stands before each frame. Session and cookie are those of the
// receiver: what the other side wants to see is what we send.
type l2tp struct {
	udp, ip4         bool // over UDP; over IPv4, whose header a raw socket shows
	sendTo, sentTo   uint32
	sendWith, comeBy []byte // cookies: none, 4 or 8 bytes
	counter          bool
	offset           int

	// Owned by the writer.
	count uint32
	buf   [64]byte
}

const (
	// l2tpVersion begins a data message over UDP: T=0, version 3 (RFC 3931, 4.1.2.1).
	l2tpVersion = 0x00030000
	maxOffset   = 16
	// qemuTunnel is the longest frame that QEMU's netdev takes: its buffers have
	// 2,048 bytes, and it cuts off what is beyond without a word.
	qemuTunnel = 2048
)

func parseL2TPv3(spec link.Spec, mtu int) (s netSpec, err error) {
	if s.local, err = parseHostOrEndpoint(spec.Addr); err != nil {
		return s, err
	}
	if s.remote, err = takeRemote(&spec, s.local, parseHostOrEndpoint); err != nil {
		return s, err
	}
	if (s.local.Port() == 0) != (s.remote.Port() == 0) {
		return s, link.Errorf("%s and remote=%v: give both ports (over UDP) or none (over IP)", spec.Addr, s.remote)
	}
	t := &l2tp{udp: s.local.Port() != 0, ip4: s.local.Addr().Is4()}
	if err := t.take(&spec); err != nil {
		return s, err
	}
	s.tunnel, s.longest = t, qemuTunnel
	if mtu > 0 {
		s.longest = min(frame.HeaderLen+2*frame.TagLen+mtu, maxDatagram-len(t.buf))
	}
	return s, spec.Done("remote", "session", "txsession", "rxsession", "cookie", "txcookie", "rxcookie", "counter", "offset")
}

// parseHostOrEndpoint reads ADDRESS:PORT or ADDRESS.
func parseHostOrEndpoint(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 0), nil
	}
	return parseEndpoint(text)
}

// take reads the header's keys.
func (t *l2tp) take(spec *link.Spec) error {
	both, err := takeNumber(spec, "session", 0, math.MaxUint32)
	if err != nil {
		return err
	}
	for key, to := range map[string]*uint32{"txsession": &t.sendTo, "rxsession": &t.sentTo} {
		n, err := takeNumber(spec, key, both, math.MaxUint32)
		if err != nil {
			return err
		}
		if *to = uint32(n); n == 0 {
			return link.Errorf("l2tpv3:%s: session=N is missing, or both txsession= (the one that the other side expects) and rxsession=; 0 is no session", spec.Addr)
		}
	}
	cookie, err := takeCookie(spec, "cookie", nil)
	if err != nil {
		return err
	}
	if t.sendWith, err = takeCookie(spec, "txcookie", cookie); err != nil {
		return err
	}
	if t.comeBy, err = takeCookie(spec, "rxcookie", cookie); err != nil {
		return err
	}
	if t.counter, err = spec.TakeSwitch("counter", false); err != nil {
		return err
	}
	n, err := takeNumber(spec, "offset", 0, maxOffset)
	t.offset = int(n)
	return err
}

func takeCookie(spec *link.Spec, key string, def []byte) ([]byte, error) {
	v, ok := spec.Take(key)
	if !ok {
		return def, nil
	}
	b, err := hex.DecodeString(strings.TrimPrefix(v, "0x"))
	if err != nil || len(b) != 4 && len(b) != 8 {
		return nil, link.Errorf("%s=%s: want 8 or 16 hexadecimal digits", key, v)
	}
	return b, nil
}

// lead is what stands before the next frame. It is good until the next call.
func (t *l2tp) lead() []byte {
	b := t.buf[:0]
	if t.udp {
		b = binary.BigEndian.AppendUint32(b, l2tpVersion)
	}
	b = binary.BigEndian.AppendUint32(b, t.sendTo)
	b = append(b, t.sendWith...)
	if t.counter {
		t.count++
		b = binary.BigEndian.AppendUint32(b, t.count)
	}
	return append(b, zeros[:t.offset]...)
}

var zeros [maxOffset]byte

// strip returns how long the header of a message is. ok is false for messages of
// other sessions, which share the address, and for those without our cookie.
// The version and the counter are not looked at, as QEMU does not: some senders
// give their UDP messages none.
func (t *l2tp) strip(msg []byte) (n int, ok bool) {
	switch {
	case t.udp:
		n = 4
	case t.ip4 && len(msg) > 0:
		n = 4 * int(msg[0]&15)
	}
	if len(msg) < n+4 || binary.BigEndian.Uint32(msg[n:]) != t.sentTo || !bytes.HasPrefix(msg[n+4:], t.comeBy) {
		return 0, false
	}
	n += 4 + len(t.comeBy) + t.offset
	if t.counter {
		n += 4
	}
	return n, len(msg) >= n
}
