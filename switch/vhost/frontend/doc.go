// Package frontend is the other side of vhost-user: what QEMU and the driver in
// its guest do, without either. It makes memory in a memfd, lays rings and buffers
// out in it, tells a switch where they are, and then sends and receives frames.
//
// It shares no code with the switch's side, so that each can show the other's
// mistakes. Tests use it as a guest, the bench as a source and sink of frames.
// Nothing in it is safe for concurrent use, but one goroutine may send while
// another receives.
package frontend
