// Package offload does the work that senders leave to others, and leaves work
// to others: it completes checksums, cuts super-frames into segments and merges
// neighbouring segments into super-frames.
//
// # Why
//
// A TAP hands over TCP in pieces of up to 64 KiB with one header in front and
// the checksum not computed, if it is told that this is welcome, and takes the
// same. That is thirty times fewer system calls than frame by frame. The switch
// passes such super-frames on as they are wherever the other side takes them,
// so the work is mostly never done at all. Where it does not, a Cutter does it
// on the way out; where the one side brings segments and the other takes
// super-frames, a Merger makes one out of neighbours.
//
// # Trust
//
// What says which work is left (a frame.Offload) is checked once, where it comes
// in, by Parse: against the frame's own headers, not against what the sender
// says of them. Everything behind that relies on it. A Merger believes in no
// checksum that it has not seen to be right: one that is wrong stays as it is
// and the receiver finds it, as it would have without a switch.
//
// # Sources
//
// The layout is that of struct virtio_net_hdr (virtio 1.2, 5.1.6.2) and of the
// headers in RFC 791, 768, 8200 and 9293; the Internet checksum is RFC 1071's.
// What may be merged is what Linux's GRO merges, so that cutting gives back the
// frames that went in.
//
// Nothing here allocates for a frame, keeps a frame or calls the kernel.
package offload
