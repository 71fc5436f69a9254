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
// What comes in, the kernel puts into a ring of slots in shared memory
// (PACKET_RX_RING, TPACKET_V2): to read a frame is to look at its slot, and a
// batch lies in the ring until the next read gives its slots back. A frame that is
// longer than a slot has one too, to keep its place, but is in the socket's queue
// as well (PACKET_COPY_THRESH), and is read from there when its turn comes. What
// found no room is counted (TP_STATUS_LOSING, PACKET_STATISTICS). TPACKET_V3 would
// take less room, but hands blocks over, and a block that is not full after a
// millisecond at the earliest.
//
// Without a ring one recvmmsg brings many frames, as it does where many long ones
// wait. Each has a place of its own, large enough for a super-frame, in memory
// that belongs to the Link: of a place that only short frames come into, no more
// than the first page is ever touched. The kernel keeps a frame's outer tag apart; it
// is put back in front of what the switch sees.
//
// Short frames are sent from a second ring (PACKET_TX_RING), many by one system call
// that has no list of messages to read. The kernel copies them before it returns.
// Long frames, super-frames and what the ring did not take go by sendmmsg, behind
// what went by the ring: both calls have handed over what they took when they return.
//
// A Link ends when the interface is down or gone. The Source then waits until
// netlink tells of an interface of that name that is up.
package packet
