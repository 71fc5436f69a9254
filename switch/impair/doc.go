// Package impair makes a cable bad on purpose: it delays, loses, duplicates
// and slows down frames, as wirefilter and netem do.
//
// A Line is one direction of a cable. Push decides at once what becomes of a
// frame and when it will arrive; the Line keeps a copy until Pop takes it out
// at that time. The order of the questions is that of a real way: does it fit
// (mtu), does it get lost (loss, burst), is there room for it to wait for its
// turn (rate, queue), how long does it travel (delay, jitter), does it arrive
// twice (dup).
//
//	sent = popped + lost + held - duplicates
//
// Time is a number of nanoseconds that the caller brings along; the Line reads no
// clock, so that tests bring their own. Chance comes from a generator that can
// be seeded: the same frames at the same times then meet the same fate.
//
// A Line is not safe for concurrent use and has no threads.
package impair
