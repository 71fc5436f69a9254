// Package frame knows what an Ethernet frame looks like and how a batch of
// them lies in memory.
//
// A Frame is a view: a byte slice that starts at the destination address and
// ends before the frame check sequence, with accessors that read header fields
// where they lie. Nothing is copied and nothing is allocated.
//
// A Batch is what one system call brought in, or takes out: one buffer and a
// list of Refs that say where each frame lies in it and what must still be
// done to its VLAN tag on the way out. Frames of a Batch are shared by all
// their receivers, so their bytes are never changed in place; an Edit is
// carried out while the frame is copied or gathered for its last write.
//
// Layouts and values are those of IEEE 802.3 and IEEE 802.1Q-2018.
package frame
