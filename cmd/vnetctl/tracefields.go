package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

// frameFields are the words that describe a frame.
var frameFields = []string{"src=", "dst=", "vlan=", "prio=", "type=", "len=", "sip=", "dip=", "sport=", "dport=", "arp", "ip", "ip6", "tcp", "udp", "icmp"}

// fields describe a frame; -1 and "" stand for what is not given.
type fields struct {
	src, dst         frame.MAC
	vlan, prio       int
	typ              int
	net              string // arp, ip or ip6
	proto            string // tcp, udp or icmp
	sip, dip         netip.Addr
	sport, dport     int
	length           int
	hasPort, hasAddr bool
}

func parseFields(args []string) (*fields, error) {
	f := &fields{src: frame.MAC{2, 0, 0, 0, 0, 1}, dst: frame.Broadcast, vlan: -1, prio: -1, typ: -1, sport: 40000, dport: 7, length: -1}
	seen := map[string]bool{}
	for _, arg := range strings.Fields(strings.Join(args, " ")) {
		key, value, isField := strings.Cut(arg, "=")
		if seen[key] {
			return nil, badField("%q is there twice", key)
		}
		seen[key] = true
		if !isField {
			if err := f.word(arg); err != nil {
				return nil, err
			}
			continue
		}
		if err := f.set(key, value); err != nil {
			return nil, err
		}
	}
	return f, f.settle()
}

func badField(format string, args ...any) error {
	e := usage("trace: the frame makes no sense")
	e.cause, e.cure = fmt.Sprintf(format, args...), "vnetctl trace --help"
	return e
}

// noField is the error of a word that is none of ours.
func noField(word string) error {
	if near := api.Nearest(word, frameFields); near != "" {
		return badField("%q is no field; did you mean %q?", word, near)
	}
	return badField("%q is neither hex, nor FILE:N, nor a field: %s", word, strings.Join(frameFields, " "))
}

func (f *fields) word(word string) error {
	switch word {
	case "arp", "ip", "ip6":
		if f.net != "" {
			return badField("it is %s already, and cannot be %s too", f.net, word)
		}
		f.net = word
	case "tcp", "udp", "icmp":
		if f.proto != "" {
			return badField("it is %s already, and cannot be %s too", f.proto, word)
		}
		f.proto = word
	default:
		return noField(word)
	}
	return nil
}

func (f *fields) set(key, value string) (err error) {
	number := func(to *int, lo, hi int) {
		n, bad := strconv.ParseUint(value, 0, 32)
		if bad != nil || int(n) < lo || int(n) > hi {
			err = badField("%s=%s: want a number from %d to %d", key, value, lo, hi)
		}
		*to = int(n)
	}
	switch key {
	case "src", "dst":
		m, bad := frame.ParseMAC(value)
		if bad != nil {
			return badField("%s=%s: want a MAC address such as 52:54:00:12:34:56", key, value)
		}
		*map[string]*frame.MAC{"src": &f.src, "dst": &f.dst}[key] = m
	case "vlan":
		number(&f.vlan, 0, 4095)
	case "prio":
		number(&f.prio, 0, 7)
	case "type":
		number(&f.typ, 0, 0xffff)
	case "len":
		number(&f.length, 0, frame.MaxLen)
	case "sip", "dip":
		a, bad := netip.ParseAddr(value)
		if bad != nil || a.Zone() != "" {
			return badField("%s=%s: want an address such as 10.0.0.1 or fd00::1", key, value)
		}
		*map[string]*netip.Addr{"sip": &f.sip, "dip": &f.dip}[key] = a.Unmap()
		f.hasAddr = true
	case "sport", "dport":
		number(map[string]*int{"sport": &f.sport, "dport": &f.dport}[key], 0, 0xffff)
		f.hasPort = true
	default:
		return noField(key + "=")
	}
	return err
}

// settle fills in what follows from the rest, and finds contradictions.
func (f *fields) settle() error {
	v6 := f.sip.Is6() || f.dip.Is6()
	if f.net == "" && (f.proto != "" || f.hasAddr || f.hasPort) {
		f.net = map[bool]string{false: "ip", true: "ip6"}[v6]
	}
	switch {
	case f.typ >= 0 && f.net != "":
		return badField("type= and %s both say what is in it", f.net)
	case v6 && f.net != "ip6", f.net == "ip6" && (f.sip.Is4() || f.dip.Is4()):
		return badField("an address is not of %s's kind", f.net)
	case f.net == "arp" && f.proto != "":
		return badField("arp carries no %s", f.proto)
	case f.hasPort && f.proto != "tcp" && f.proto != "udp":
		return badField("sport= and dport= need tcp or udp")
	}
	source, destination := "192.0.2.1", "192.0.2.2" // of documentation
	if f.net == "ip6" {
		source, destination = "2001:db8::1", "2001:db8::2"
	}
	if !f.sip.IsValid() {
		f.sip = netip.MustParseAddr(source)
	}
	if !f.dip.IsValid() {
		f.dip = netip.MustParseAddr(destination)
	}
	return nil
}

// build makes the frame.
func (f *fields) build() (frame.Frame, error) {
	b := append(append([]byte{}, f.dst[:]...), f.src[:]...)
	if f.vlan >= 0 || f.prio >= 0 {
		b = binary.BigEndian.AppendUint32(b, frame.TypeVLAN<<16|uint32(max(f.prio, 0))<<13|uint32(max(f.vlan, 0)))
	}
	typ := map[string]int{"arp": frame.TypeARP, "ip": frame.TypeIPv4, "ip6": frame.TypeIPv6, "": 0x88b5}[f.net]
	if f.typ >= 0 {
		typ = f.typ
	}
	b = binary.BigEndian.AppendUint16(b, uint16(typ))
	length := f.length
	if length < 0 {
		length = max(frame.MinLen, len(b)+len(f.payload(0)))
	}
	payload := f.payload(max(0, length-len(b)-len(f.payload(0))))
	if n := len(b) + len(f.payload(0)); n > length {
		return nil, badField("len=%d: its headers alone have %d bytes", length, n)
	}
	if len(payload) > 0xffff && f.net != "" {
		return nil, badField("len=%d: an %s packet has at most 65535 bytes", length, f.net)
	}
	b = append(b, payload...)
	return append(b, make([]byte, max(0, length-len(b)))...), nil
}

// payload is what follows the type, with so many bytes of data at its end.
func (f *fields) payload(data int) []byte {
	switch f.net {
	case "arp":
		b := []byte{0, 1, 8, 0, 6, 4, 0, 1}
		b = append(append(b, f.src[:]...), f.sip.AsSlice()...)
		return append(append(b, 0, 0, 0, 0, 0, 0), f.dip.AsSlice()...)
	case "ip":
		next, inner := f.transport(data)
		b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, next, 0, 0} // do not fragment
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(inner)))
		b = append(append(b, f.sip.AsSlice()...), f.dip.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], checksum(b))
		return append(b, inner...)
	case "ip6":
		next, inner := f.transport(data)
		b := []byte{0x60, 0, 0, 0, 0, 0, next, 64}
		binary.BigEndian.PutUint16(b[4:], uint16(len(inner)))
		return append(append(append(b, f.sip.AsSlice()...), f.dip.AsSlice()...), inner...)
	}
	return make([]byte, data)
}

// transport is a transport header and data, and its protocol's number.
func (f *fields) transport(data int) (proto byte, b []byte) {
	sum := 0 // where the checksum is
	switch f.proto {
	case "tcp":
		proto, sum, b = 6, 16, make([]byte, 20+data)
		b[12], b[13], b[14] = 0x50, 2, 0xff // a SYN
	case "udp":
		proto, sum, b = 17, 6, make([]byte, 8+data)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	case "icmp":
		proto, sum, b = 1, 2, make([]byte, 8+data)
		b[0] = 8 // an echo request
		if f.net == "ip6" {
			proto, b[0] = 58, 128
		}
	default:
		return 253, make([]byte, data) // for experiments
	}
	if f.proto != "icmp" {
		binary.BigEndian.PutUint16(b, uint16(f.sport))
		binary.BigEndian.PutUint16(b[2:], uint16(f.dport))
	}
	whole := b
	if proto != 1 { // all others sum up the addresses, too
		pseudo := append(append([]byte{}, f.sip.AsSlice()...), f.dip.AsSlice()...)
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)))
		whole = append(append(pseudo, 0, 0, 0, proto), b...)
	}
	c := checksum(whole)
	if c == 0 && f.proto == "udp" {
		c = 0xffff // 0 means that there is none
	}
	binary.BigEndian.PutUint16(b[sum:], c)
	return proto, b
}

// checksum is the Internet's (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint64
	for ; len(b) > 1; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
