// Package vhost lets guests plug in by vhost-user: their memory is mapped here,
// and frames are copied out of it and into it with no system call for a frame.
//
// # Two conversations
//
// A front end (QEMU, or a DPDK program) connects to a Unix socket and says by
// messages where its guest's memory is, where in that the rings of descriptors
// lie, and by which eventfds both sides wake each other. A session (session_linux.go)
// answers them in a goroutine of its own. What the guest then sends and receives
// goes through the rings alone (ring_linux.go, split_linux.go, packed_linux.go),
// by Link's ReadBatch and WriteBatch (read_linux.go, write_linux.go). Both take
// chains of descriptors many at a time, before they copy any (gather_linux.go).
//
// ReadBatch holds one lock of the Link and WriteBatch another, for a whole batch.
// The session holds both when it changes something that they use, and so changes
// it between batches: memory is unmapped when nobody can be in it any more, and
// rings that the front end has asked back are not touched after the answer.
//
// # Two descriptors
//
// The switch polls one descriptor for as long as the Link lives, while guests
// change their eventfds as often as they like. So it polls an epoll instance
// (bell_linux.go) in which the guest's eventfds come and go. A second one is
// readable when a full receive ring has room again.
//
// While a ring has something in it the guest is asked not to say so. Only when
// ReadBatch finds nothing does it ask to be told, and looks once more. The guest
// is called at most once for each batch and ring.
//
// # One copy
//
// A long frame is lent (lend_linux.go): ReadBatch copies its headers, and whoever
// writes it to another guest copies the rest from one guest's memory to the
// other's. ReadBatch then leaves with its lock held, and Return ends that when the
// frame has been everywhere. Only then does the sender get its buffers back. Those
// who cannot borrow, rings that overflow and captures have the rest brought into
// the batch first.
//
// # What is believed
//
// Nothing. Everything here comes from programs that may be broken or hostile:
//
//   - Messages are bounded, each field is checked, and descriptors that came with
//     them are used only if they are what they must be: eventfds, and files that
//     live in memory.
//   - A descriptor is copied out of the guest's memory once, then checked, and
//     only the copy is used. Numbers of descriptors, addresses, lengths, directions
//     and the length of chains are checked. What is wrong ends the Link.
//   - Frames, or the beginning of long ones with all their headers, are copied into
//     memory of the switch's before anyone looks at them, and that copy is
//     delivered. What the guest does to its own after that changes nothing but
//     payload.
//   - The file behind the memory can be cut at any time, which makes reading it a
//     fault. Workers are told to make faults panics, and a Link that finds one in
//     its own guest's memory turns it into an error that ends that Link.
//
// # Why this is correct without locks between us and the guest
//
// Both sides write memory that the other reads. The Go memory model speaks of one
// program only, so this is what is relied on instead.
//
// Each index, flag or event that hands something over is one naturally aligned
// word, and is read and written by functions of sync/atomic. On the processors
// that Go runs on these are single loads and stores; a load comes before all that
// follow it in the program, and a store after all that precede it, as seen by any
// other processor: what virtio wants of its barriers (virtio 1.2, 2.7.13 and
// 2.8.21). Ring positions of split rings are 16 bits, for which there are no such
// functions, but lie beside their flags in one word of 32 that belongs to one
// side. So descriptors are read after the index that announced them, and frames
// are written before the index that hands them over.
//
// Where one side writes and then reads what the other writes and then reads - used
// index and event, event and available index - a store must not be overtaken by
// the load behind it. Atomic stores of Go are sequentially consistent, so it is
// not. The one event that is written as a lone half word is followed by such a
// store.
//
// All else (descriptors, frames, ring entries) is plain memory that belongs to one
// side at a time. A guest that writes it while it is ours can change what is
// copied, not what was checked. The race detector knows nothing of mapped memory
// and is no help here.
//
// Rings are little-endian by the specification, and so must this processor be.
package vhost
