// Package linktest helps to test what has to do with Links.
//
// Run is the suite that every port kind must pass: it drives a Link as the
// switch does, from one side, and a Station as a VM does, from the other.
//
// Pipes is a port kind for tests. Its Links are one end of a SOCK_SEQPACKET
// socket pair, one frame per message: a real kernel object that fills up, that
// can be polled and that dies, without a file, an address or a protocol. A
// Station holds the other end. So tests of the switch add ports, plug in and
// pull out as users do.
//
// Nothing here sleeps. Whoever waits, waits for a frame or for the end of a
// link, and Patience ends only tests that have failed.
package linktest

import "time"

// Patience is how long a Station waits for what must come. It is long because
// a machine may be busy; a test that passes never waits for it to end.
const Patience = 30 * time.Second
