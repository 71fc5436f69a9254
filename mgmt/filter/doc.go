// Package filter selects frames by expressions in the language of tcpdump, or
// a part of it: what it takes means the same here as there, except where it is
// said.
//
//	ether host|src|dst MAC        either, source or destination address
//	[ether] broadcast|multicast   by destination; a broadcast is a multicast, too
//	ether proto 0xNNNN            EtherType behind the tags, or ip, ip6, arp
//	vlan [N]                      has a tag [one with VLAN N]
//	arp  ip  ip6                  by EtherType
//	tcp  udp  sctp  icmp  icmp6   by protocol
//	[ip|ip6] proto N              by protocol number or name
//	[ip|ip6|arp] [src|dst] host A an IPv4 or IPv6 address, also in ARP
//	[ip|ip6|arp] [src|dst] net A/LEN
//	[tcp|udp|sctp] [src|dst] port N or N-M
//	less N  greater N             frame length in bytes: at most N, at least N
//	not X  X and Y  X or Y  ( X ) also written !, && and ||
//
// As in tcpdump, and and or bind equally and from left to right, and the word
// host may be left out behind src and dst. Names of hosts and services are not
// looked up.
//
// # What differs from tcpdump
//
// There vlan changes what the words behind it mean. Here up to two VLAN tags
// (0x8100 or 0x88a8) are always looked through, so "tcp port 80" finds tagged
// frames too, and "vlan 10" asks whether one of the tags is of VLAN 10. A
// protocol is that behind the IPv6 extension headers. Padding behind the end
// of an IP packet is not taken for ports. Of fragments the first has ports and
// all have a protocol.
//
// # How it works
//
// Parse makes a tree of tests, and of that a program: a list of tests each of
// which says which one comes next if it is true, and which if not. Match finds
// in one pass where the frame's headers lie and runs the program. It allocates
// nothing and reads no byte outside the frame, whatever that holds, so it can
// run in the data path.
package filter
