// Package tap is where TAP devices as a kind of port, and the host's own side
// of a network, will live. It has no code yet: it arrives with the issue that
// adds the kind tap and vnetctl's create and cancel.
//
// Theory: a TAP is a Link like any other (see switch/link): batches of frames
// to and from a descriptor that the switch polls. What sets it apart is
// offload. With a virtio_net_hdr before each frame the kernel hands over TCP
// segments of up to 64 KiB uncut and with checksums left to do; links that can
// take them get them whole, and for the others they are cut on the way out.
//
// Its sub-package hostnet will change the host: bridges, TAPs, addresses and
// routes, as a plan of small steps that each know their undo, written to a
// journal before the first is taken. Only there are netlink and TAP libraries
// imported.
package tap
