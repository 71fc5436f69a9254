//go:build linux

package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A worker and the orchestrator share one mapping: the worker stores its running counters in it after each system call,
// the orchestrator reads them when a measuring interval begins and ends. Nothing else passes between them while frames
// flow, so measuring costs the worker a few stores.
type counters struct {
	state  atomic.Uint32 // who is how far
	turn   atomic.Uint32 // those who follow: the orchestrator wants them to be on
	active atomic.Uint32 // and they are
	_      uint32

	sent                                     atomic.Uint64
	frames, bytes, lost, dup, corrupt, other atomic.Uint64
	samples                                  atomic.Uint64 // how many samples were ever written
}

// States, in this order; the worker and the orchestrator set them in turn.
const (
	stateStarting = iota
	statePlugged  // worker: connected
	stateAnnounce // orchestrator: all are connected, tell the switch your addresses
	stateReady    // worker: told
	stateGo       // orchestrator: traffic may start
)

const (
	shmHeader  = 4096
	sampleCap  = 1 << 18 // a ring of u32: RTTs in nanoseconds, plug times, or frames per port
	shmSize    = shmHeader + 4*sampleCap
	shmChildFD = 3
)

type shared struct {
	*counters
	ring []uint32
	mem  []byte
}

// newShared makes a mapping and the file that a child inherits as shmChildFD.
func newShared() (*shared, *os.File, error) {
	fd, err := unix.MemfdCreate("bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "bench")
	if err := f.Truncate(shmSize); err != nil {
		f.Close()
		return nil, nil, err
	}
	s, err := mapShared(fd)
	return s, f, err
}

func mapShared(fd int) (*shared, error) {
	mem, err := unix.Mmap(fd, 0, shmSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the shared counters: %w", err)
	}
	return &shared{
		counters: (*counters)(unsafe.Pointer(&mem[0])),
		ring:     unsafe.Slice((*uint32)(unsafe.Pointer(&mem[shmHeader])), sampleCap),
		mem:      mem,
	}, nil
}

func (s *shared) close() { unix.Munmap(s.mem) }

// add appends a sample; only the worker calls it.
func (s *shared) add(v uint32) {
	n := s.samples.Load()
	s.ring[n%sampleCap] = v
	s.samples.Store(n + 1)
}

// publish stores a receiver's counts.
func (s *shared) publish(c *checker) {
	s.frames.Store(c.frames)
	s.bytes.Store(c.bytes)
	s.lost.Store(c.lost)
	s.dup.Store(c.dup)
	s.corrupt.Store(c.corrupt)
	s.other.Store(c.other)
}

// snapshot is a copy of the counters at one moment.
type snapshot struct {
	sent, frames, bytes, lost, dup, corrupt, other, samples uint64
}

func (s *shared) snap() snapshot {
	return snapshot{
		sent: s.sent.Load(), frames: s.frames.Load(), bytes: s.bytes.Load(), lost: s.lost.Load(),
		dup: s.dup.Load(), corrupt: s.corrupt.Load(), other: s.other.Load(), samples: s.samples.Load(),
	}
}

// since returns the samples written between two snapshots, at most as many as the ring holds.
func (s *shared) since(a, b snapshot) []uint32 {
	from := a.samples
	if b.samples-from > sampleCap {
		from = b.samples - sampleCap
	}
	out := make([]uint32, 0, b.samples-from)
	for i := from; i < b.samples; i++ {
		out = append(out, s.ring[i%sampleCap])
	}
	return out
}
