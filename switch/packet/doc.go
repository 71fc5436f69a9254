// Package packet is the port kind packet: a network interface that exists, such
// as a network card or one end of a veth pair, joined to the switch while the
// host goes on using it.
//
// # Theory of operation
//
// A packet socket (packet(7)) on the interface receives what comes in by it, in
// promiscuous mode, and sends. It does not receive what the host or the switch
// itself sends there (PACKET_IGNORE_OUTGOING), so nothing comes back that was
// sent. Frames are behind a virtio_net_hdr (PACKET_VNET_HDR): between processes
// of one host interfaces hand over super-frames with unfinished checksums, and
// without that header nobody could tell.
//
// One recvmmsg brings many frames. Each has a place of its own, large enough for
// a super-frame, in memory that belongs to the Link: of a place that only short
// frames come into, no more than the first page is ever touched. One sendmmsg
// sends many frames. The kernel keeps a frame's outer tag apart; it is put back
// in front of what the switch sees.
//
// A Link ends when the interface is down or gone. The Source then waits until
// netlink tells of an interface of that name that is up.
package packet
