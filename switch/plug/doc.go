// Package plug holds the port kinds that live on sockets.
//
// So far there is one: stream, which is what QEMU calls -netdev stream and
// -netdev socket. Each frame is preceded by its length as a big-endian uint32;
// there is no handshake and no other message. The peer is another Unix process
// or a TCP host, and either side may be the one that listens.
//
// A link here is a raw non-blocking socket and little else. What has been read
// of an incomplete frame and what is unwritten of a cut one are its whole state.
package plug
