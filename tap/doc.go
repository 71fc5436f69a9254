// Package tap is the port kind tap: a network device of the host's, or of a
// namespace, whose other side is a descriptor that the switch holds.
//
// # Theory of operation
//
// A TAP is a Link like any other (see switch/link). What sets it apart is
// offload: with a virtio_net_hdr before each frame the kernel hands over TCP in
// pieces of up to 64 KiB with the checksum left to do, and takes the same.
// Towards the switch such frames carry a frame.Offload; towards the device,
// neighbouring TCP segments become one piece (package offload).
//
// A Source holds the device, a Link only a copy of its descriptors. The Link
// ends when the device cannot carry frames: it is down, or was deleted. The
// Source then waits for the device to come back, or makes it again, and yields
// the next Link. A renamed device, one that moves to another namespace and one
// whose MTU changes keep their Link; the port says what has happened. The news
// comes from netlink, in the namespace where the device is.
//
// What is asked of the device (MTU, address, bridge, owner) is done before the
// port exists, and undone if some part of it fails. A device that was not made
// here is never deleted here.
//
// # Files
//
// kind.go reads a Spec, open_linux.go makes or finds the device, setup_linux.go
// does what netlink is for, source_linux.go is its life, link_linux.go moves
// frames. plain_linux.go opens devices without offload, through package water.
package tap
