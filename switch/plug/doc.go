// Package plug holds the port kinds that live on sockets.
//
// Stream is what QEMU calls -netdev stream and -netdev socket. Each frame is
// preceded by its length as a big-endian uint32; there is no handshake and no
// other message. The peer is another Unix process or a TCP host, and either side
// may be the one that listens.
//
// VDE is the plug of Virtual Distributed Ethernet, by which libvdeplug, QEMU's
// -netdev vde and User-mode Linux speak to a switch. A client says on a stream
// connection (DIR/ctl) which port it wants and where its datagram socket is; the
// switch connects a socket of its own to that, gives it a name and answers with
// it. Then each frame is a datagram, and the connection lives as long as the
// plug. vdewire.go has the messages, vdedoor_linux.go and vdehandshake_linux.go
// the switch's side, vdedial_linux.go the client's, dgram_linux.go the frames.
//
// A stream link here is a raw non-blocking socket and little else. What has been read
// of an incomplete frame and what is unwritten of a cut one are its whole state.
package plug
