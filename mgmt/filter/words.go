package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"vnetkit/switch/frame"
)

// IP protocols that have names here.
const (
	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	protoICMP6 = 58
	protoSCTP  = 132
)

var types = map[string]uint64{"ip": frame.TypeIPv4, "arp": frame.TypeARP, "ip6": frame.TypeIPv6}

var protos = map[string]uint64{"icmp": protoICMP, "tcp": protoTCP, "udp": protoUDP, "icmp6": protoICMP6, "sctp": protoSCTP}

// primitives are the words that a test can begin with.
var primitives = []string{
	"arp", "broadcast", "dst", "ether", "greater", "host", "icmp", "icmp6", "ip", "ip6", "less", "multicast",
	"net", "port", "portrange", "proto", "sctp", "src", "tcp", "udp", "vlan",
}

// primitive reads one test.
func (p *parser) primitive() (*node, error) {
	if p.tests++; p.tests > maxTests {
		return nil, p.fail(p.peek(), fmt.Sprintf("more than %d tests", maxTests), "")
	}
	t := p.take()
	p.follow = nil
	switch t.text {
	case "ether":
		return p.ether()
	case "broadcast":
		return is(test{op: opBroadcast}), nil
	case "multicast":
		return is(test{op: opMulticast}), nil
	case "vlan":
		return p.vlan()
	case "arp", "ip", "ip6":
		return p.network(t.text)
	case "tcp", "udp", "sctp":
		return p.transport(t.text)
	case "icmp":
		return protoIs(fam4, protoICMP), nil
	case "icmp6":
		return protoIs(fam6, protoICMP6), nil
	case "less", "greater":
		n, err := p.number(0, 1<<20, "a number of bytes")
		if err != nil {
			return nil, err
		}
		return is(test{op: map[string]op{"less": opLess, "greater": opGreater}[t.text], lo: n}), nil
	case "proto":
		return p.proto(famNone)
	case "src", "dst", "host", "net", "port", "portrange":
		p.next--
		return p.place("", true)
	}
	return nil, p.notATest(t)
}

// notATest explains a word that no test begins with.
func (p *parser) notATest(t token) error {
	if _, err := netip.ParseAddr(t.text); err == nil {
		return p.fail(t, "an address alone is no test", fmt.Sprintf("did you mean %q?", "host "+t.text))
	}
	if _, err := netip.ParsePrefix(t.text); err == nil {
		return p.fail(t, "a network alone is no test", fmt.Sprintf("did you mean %q?", "net "+t.text))
	}
	if _, err := frame.ParseMAC(t.text); err == nil {
		return p.fail(t, "a MAC address alone is no test", fmt.Sprintf("did you mean %q?", "ether host "+t.text))
	}
	if _, err := strconv.ParseUint(t.text, 10, 16); err == nil {
		return p.fail(t, "a number alone is no test", fmt.Sprintf("did you mean %q?", "port "+t.text))
	}
	words := append([]string{"not"}, primitives...)
	return p.wanted(t, "a test", words...)
}

func (p *parser) ether() (*node, error) {
	words := []string{"host", "src", "dst", "broadcast", "multicast", "proto"}
	t := p.take()
	switch t.text {
	case "broadcast":
		return is(test{op: opBroadcast}), nil
	case "multicast":
		return is(test{op: opMulticast}), nil
	case "host":
		return p.mac("")
	case "src", "dst":
		p.accept("host")
		return p.mac(t.text)
	case "proto":
		if name, ok := p.accept("ip", "ip6", "arp"); ok {
			return typeIs(types[name]), nil
		}
		n, err := p.number(0x600, 0xffff, "an EtherType such as 0x88cc, or ip, ip6 or arp", "ip", "ip6", "arp")
		return typeIs(n), err
	}
	return nil, p.wanted(t, "one of "+strings.Join(words, ", "), words...)
}

func (p *parser) vlan() (*node, error) {
	if t := p.peek(); t.text == "" || t.text[0] < '0' || t.text[0] > '9' {
		return is(test{op: opTagged}), nil
	}
	n, err := p.number(0, 4095, "a VLAN")
	return is(test{op: opVLAN, lo: n}), err
}

// network reads what may follow arp, ip and ip6.
func (p *parser) network(name string) (*node, error) {
	switch t := p.peek().text; {
	case t == "proto" && name != "arp":
		p.next++
		return p.proto(map[string]uint8{"ip": fam4, "ip6": fam6}[name])
	case slices.Contains([]string{"src", "dst", "host", "net"}, t):
		return p.place(name, false)
	}
	p.follow = []string{"src", "dst", "host", "net", "proto"}
	return typeIs(types[name]), nil
}

// transport reads what may follow tcp, udp and sctp.
func (p *parser) transport(name string) (*node, error) {
	proto := protoIs(famNone, protos[name])
	switch p.peek().text {
	case "port", "portrange":
	case "src", "dst":
		if p.next+1 < len(p.tokens) && !slices.Contains([]string{"port", "portrange"}, p.tokens[p.next+1].text) {
			return nil, p.fail(p.tokens[p.next+1], name+" has ports, and no addresses of its own", fmt.Sprintf("did you mean %q?", name+" and "+p.peek().text+" "+p.tokens[p.next+1].text))
		}
	default:
		p.follow = []string{"port", "portrange", "src", "dst"}
		return proto, nil
	}
	x, err := p.place("", true)
	if err != nil {
		return nil, err
	}
	return and(proto, x), nil
}

func (p *parser) proto(fam uint8) (*node, error) {
	for name, n := range protos {
		if _, ok := p.accept(name); ok {
			return protoIs(fam, n), nil
		}
	}
	n, err := p.number(0, 255, "a protocol: tcp, udp, sctp, icmp, icmp6 or a number up to 255", "tcp", "udp", "sctp", "icmp", "icmp6")
	return protoIs(fam, n), err
}

// place reads [src|dst] host|net|port WHERE, with the network protocol name
// before it, if any.
func (p *parser) place(name string, ports bool) (*node, error) {
	dir, _ := p.accept("src", "dst")
	if kind, ok := p.accept("port", "portrange"); ok {
		if !ports {
			p.next--
			return nil, p.fail(p.peek(), name+" has addresses, and no ports", fmt.Sprintf("did you mean %q?", strings.Join(strings.Fields(name+" and "+dir+" "+kind), " ")))
		}
		return p.port(dir)
	}
	if _, ok := p.accept("net"); ok {
		return p.net(name, dir)
	}
	p.accept("host")
	t := p.take()
	addr, err := netip.ParseAddr(t.text)
	if err != nil || addr.Zone() != "" {
		if _, err := frame.ParseMAC(t.text); err == nil {
			return nil, p.fail(t, "this is a MAC address", fmt.Sprintf("did you mean %q?", "ether "+strings.TrimSpace(dir+" host ")+" "+t.text))
		}
		return nil, p.noName(t, "an IP address such as 10.0.0.1 or fd00::1", "host", "net", "port")
	}
	return p.within(t, name, dir, netip.PrefixFrom(addr, addr.BitLen()))
}

func (p *parser) net(name, dir string) (*node, error) {
	t := p.take()
	prefix, err := netip.ParsePrefix(t.text)
	if err != nil {
		return nil, p.wanted(t, "a network such as 10.0.0.0/8 or fd00::/8")
	}
	if prefix != prefix.Masked() {
		return nil, p.fail(t, "bits behind the network's length are set", fmt.Sprintf("did you mean %q?", prefix.Masked()))
	}
	return p.within(t, name, dir, prefix)
}

// within asks for addresses of a network, or of one host.
func (p *parser) within(at token, name, dir string, net netip.Prefix) (*node, error) {
	if net.Addr().Is4() {
		mask := uint64(0xffffffff) << (32 - net.Bits()) & 0xffffffff
		b := net.Addr().As4()
		t := test{fam: fam4, lo: uint64(binary.BigEndian.Uint32(b[:])), mlo: mask}
		arp := t
		arp.fam = famARP
		switch name {
		case "ip":
			return toward(dir, opSrc, opDst, t), nil
		case "arp":
			return toward(dir, opSrc, opDst, arp), nil
		case "":
			return or(toward(dir, opSrc, opDst, t), toward(dir, opSrc, opDst, arp)), nil
		}
		return nil, p.fail(at, "this is an IPv4 address", "")
	}
	if name != "" && name != "ip6" {
		return nil, p.fail(at, "this is an IPv6 address", "")
	}
	b := net.Addr().As16()
	t := test{fam: fam6, hi: binary.BigEndian.Uint64(b[:]), lo: binary.BigEndian.Uint64(b[8:])}
	t.mhi = ^uint64(0) << (64 - min(net.Bits(), 64))
	t.mlo = ^uint64(0) << (128 - max(net.Bits(), 64))
	return toward(dir, opSrc, opDst, t), nil
}

// port reads N or N-M.
func (p *parser) port(dir string) (*node, error) {
	t := p.take()
	from, to, isRange := strings.Cut(t.text, "-")
	if !isRange {
		to = from
	}
	lo, err := strconv.ParseUint(from, 10, 16)
	hi, err2 := strconv.ParseUint(to, 10, 16)
	if err != nil || err2 != nil {
		return nil, p.noName(t, "a port from 0 to 65535, or a range such as 5000-5010")
	}
	if lo > hi {
		return nil, p.fail(t, "this range runs backwards", fmt.Sprintf("did you mean %q?", to+"-"+from))
	}
	return toward(dir, opSrcPort, opDstPort, test{lo: lo, hi: hi}), nil
}

// noName is wanted where some would write a name.
func (p *parser) noName(t token, what string, words ...string) error {
	err := p.wanted(t, what, words...)
	var bad *SyntaxError
	if errors.As(err, &bad) && bad.Hint == "" && t.text != "" && unicode.IsLetter(rune(t.text[0])) {
		bad.Hint = "names are not looked up here"
	}
	return err
}

// number reads a decimal number, or a hexadecimal one with 0x.
func (p *parser) number(lo, hi uint64, what string, words ...string) (uint64, error) {
	t := p.take()
	digits, base := t.text, 10
	if rest, ok := strings.CutPrefix(t.text, "0x"); ok {
		digits, base = rest, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, p.wanted(t, what, words...)
	}
	if n < lo || n > hi {
		format := "%s is not between %d and %d"
		if base == 16 {
			format = "%s is not between %#x and %#x"
		}
		return 0, p.fail(t, fmt.Sprintf(format, t.text, lo, hi), "")
	}
	return n, nil
}

// Begins tells whether an expression can begin with word.
func Begins(word string) bool {
	if word == "" {
		return false
	}
	return word == "not" || word[0] == '(' || word[0] == '!' || slices.Contains(primitives, word)
}
