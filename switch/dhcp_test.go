package vswitch

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"vnetkit/switch/frame"
)

// dhcp is the DHCPREQUEST of a station that has an address, or asks for one, or
// both. change may make it something else.
func dhcp(src frame.MAC, has, asks string, change ...func(*layers.Ethernet, *layers.IPv4, *layers.UDP, *layers.DHCPv4)) []byte {
	e := &layers.Ethernet{SrcMAC: src[:], DstMAC: frame.Broadcast[:], EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4zero.To4(), DstIP: net.IPv4bcast.To4()}
	u := &layers.UDP{SrcPort: 68, DstPort: 67}
	d := &layers.DHCPv4{Operation: layers.DHCPOpRequest, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, ClientHWAddr: src[:],
		Options: layers.DHCPOptions{{Type: layers.DHCPOptPad}, layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(layers.DHCPMsgTypeRequest)})}}
	if has != "" {
		d.ClientIP = net.ParseIP(has).To4()
	}
	if asks != "" {
		d.Options = append(d.Options, layers.NewDHCPOption(layers.DHCPOptHostname, []byte("guest")), layers.NewDHCPOption(layers.DHCPOptRequestIP, net.ParseIP(asks).To4()))
	}
	for _, c := range change {
		c(e, ip, u, d)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, e, ip, u, d); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// What a client asks a server for is known; nothing else is taken for it.
func TestAskedIP(t *testing.T) {
	const has, asks = "10.0.0.8", "10.0.0.9"
	type (
		E = layers.Ethernet
		I = layers.IPv4
		U = layers.UDP
		D = layers.DHCPv4
	)
	said := func(data []byte) string {
		if a, ok := saidIP(data); ok {
			return a.String()
		}
		return ""
	}
	for _, tc := range []struct {
		name, has, asks, want string
		change                func(*E, *I, *U, *D)
	}{
		{"selecting", "", asks, asks, nil},
		{"rebinding", has, "", has, nil},
		{"with both", has, asks, asks, nil},
		{"for nothing", "", "", "", nil},
		{"a group's", "", "224.0.0.9", "", nil},
		{"to one", "", asks, "", func(e *E, _ *I, _ *U, _ *D) { e.DstMAC = net.HardwareAddr{2, 0, 0, 0, 0, 9} }},
		{"for another", "", asks, "", func(_ *E, _ *I, _ *U, d *D) { d.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 9} }},
		{"a reply", "", asks, "", func(_ *E, _ *I, _ *U, d *D) { d.Operation = layers.DHCPOpReply }},
		{"a discovery", "", asks, "", func(_ *E, _ *I, _ *U, d *D) { d.Options[1].Data[0] = byte(layers.DHCPMsgTypeDiscover) }},
		{"relayed", "", asks, "", func(_ *E, _ *I, _ *U, d *D) { d.RelayAgentIP = net.IP{10, 0, 0, 1} }},
		{"of a server", "", asks, "", func(_ *E, _ *I, u *U, _ *D) { u.SrcPort = 67 }},
		{"to a client", "", asks, "", func(_ *E, _ *I, u *U, _ *D) { u.DstPort = 68 }},
		{"a first fragment", "", asks, "", func(_ *E, i *I, _ *U, _ *D) { i.Flags = layers.IPv4MoreFragments }},
		{"a later fragment", "", asks, "", func(_ *E, i *I, _ *U, _ *D) { i.FragOffset = 9 }},
		{"of TCP", "", asks, "", func(_ *E, i *I, _ *U, _ *D) { i.Protocol = layers.IPProtocolTCP }},
		{"of IPv6", "", asks, "", func(e *E, _ *I, _ *U, _ *D) { e.EthernetType = layers.EthernetTypeIPv6 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.change == nil {
				tc.change = func(*E, *I, *U, *D) {}
			}
			f := dhcp(mac(1), tc.has, tc.asks, tc.change)
			if got := said(f); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			for n := range f { // cut off anywhere
				if got := said(f[:n:n]); got != "" {
					t.Fatalf("%q with %d of %d bytes", got, n, len(f))
				}
			}
		})
	}
	cookie := dhcp(mac(1), "", asks)
	cookie[14+20+8+dhcpFixed]++
	if got := said(cookie); got != "" {
		t.Errorf("%q without DHCP's cookie", got)
	}
	tagged := dhcp(mac(1), "", asks)
	tagged = append(append(append([]byte{}, tagged[:12]...), 0x81, 0, 0, 7), tagged[12:]...)
	if got := said(tagged); got != asks {
		t.Errorf("%q with a tag", got)
	}
	if a := askedIP(nil, mac(1)); a != (netip.Addr{}) {
		t.Errorf("%v in nothing", a)
	}
}
