// Package capture writes and reads captured frames: pcapng, the format of
// Wireshark (draft-ietf-opsawg-pcapng), and for reading classic pcap, too.
//
// # What a capture says
//
// Each port is an interface of the file, with the port's name and, in its
// description, its number. A frame says by its direction flag whether it came
// in from the port's link or went out to it; Wireshark shows that as
// frame.packet_flags_direction, and frame.comment tells why a frame was
// dropped, if it was. What the reader was too slow for is counted three times:
// in the comment and the drop count of the next frame (epb_dropcount), and in
// the interface's statistics (isb_ifdrop), which Wireshark sums up under
// Capture File Properties. The buffer before the reader is one for all ports;
// so the interface that a loss is booked on is that of the frame before it.
//
// # Blocks
//
// A file is a row of blocks, and only whole ones make sense. Writer hands whole
// blocks on; BlockReader takes a stream apart into blocks again, so that who
// copies it can count frames and cut files without knowing more than a block's
// type. Nothing here trusts a length it has read: blocks and frames have a
// bound, and what exceeds it is an error.
//
// The writer is our own because gopacket's NgWriter knows no option of a packet
// block, neither comment nor flags, and must begin with an interface; what would
// be left of it is not worth the 8 ms that importing its layers costs every
// program at its start. In tests its reader, and tshark, judge what is written.
package capture
