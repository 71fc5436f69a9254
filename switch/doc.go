// Package vswitch is the switch: ports, VLANs, learning and forwarding.
//
// # A frame's way
//
//  1. worker.run     waits in epoll for all links of one worker (worker.go)
//  2. Link.ReadBatch one system call brings many frames into the worker's
//     buffer; everything that follows borrows them there
//  3. worker.forward loads the topology once for the batch, asks decide what
//     becomes of each frame, learns its source address and gathers the
//     frames for each receiver (forward.go, decide.go)
//  4. Port.transmit  writes what was gathered straight from that buffer; what
//     the kernel does not take now is copied into the receiver's
//     ring (transmit.go)
//  5. Port.drain     runs only while a ring is not empty, when the link is
//     writable again
//
// One thread carries a frame from one kernel buffer to the other. Nobody ever
// waits for a receiver: a full ring drops the frame and counts it.
//
// # Threads
//
// There are a few workers, by default half as many as CPUs. A link belongs to one
// worker for its whole life, which alone reads it; so frames from one port to
// another stay in order. Any worker may write to any link, one at a time: who
// finds the link's lock taken leaves its frames in the ring, and the holder
// writes them when it is done. Receive buffers belong to workers, not to ports:
// a thousand idle ports cost little more than their sockets.
//
// Workers wait in epoll themselves, instead of one goroutine for each port
// parking in the runtime's poller, because the hand-over between the runtime's
// threads cost a third of the round-trip time. A link that is busy they do not
// wait for but read in each round (busy.go).
//
// # Several links at a port
//
// Clients of some kinds say which port they want, and may share one (seat.go).
// Each further link of a port has the sending half of a port to itself: a lock, a
// ring, a worker. What it receives, its settings and its number are those of its
// whole.
//
// # Configuration
//
// What the data path knows about ports is a topology: an immutable value behind
// an atomic pointer. The control side (ports.go, doors.go) makes a new one
// under Switch.mu and stores it. A worker may still use the one before for the
// rest of its batch, which is as if the frames had come a little earlier.
package vswitch
