// Package cable is vswitch plug: a virtual Ethernet cable between two switches,
// or between a switch and a byte stream, as vde_plug and dpipe make it.
//
// A cable has two ends, and each is a link.Link: a switch that it plugs into as
// a client, stdin and stdout, or stdin and stdout of a command. The byte
// stream is vde_plug's: the length of a frame as a big-endian uint16, and the
// frame (stream.go). So the far side of a command may be a vde_plug as well as
// another vswitch plug.
//
// One thread carries the frames (pump.go). It polls both ends, and each
// direction is a lane of its own: it reads what one end has, once, and reads no
// more before the other end has taken that. So a cable holds one batch for each
// direction and never drops for want of room: what a slow side does not take
// waits in the switch that sent it, which drops and counts. What a cable does
// drop it counts by reason: frames that the stream cannot carry, and those that
// were on their way when an end left.
//
// The files: options.go reads the command line, ends.go finds out what A and B
// mean, run.go puts the cable together and says how it ended.
package cable
