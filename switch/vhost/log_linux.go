package vhost

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirtyLog tells a front end that migrates its guest which pages were written:
// a bit for each page, in memory that it shares.
type dirtyLog struct {
	mapd  []byte
	words unsafe.Pointer
	pages uint64
}

const logPage = 4096

// newDirtyLog maps a log of size bytes.
func newDirtyLog(fd int, size, offset uint64) (*dirtyLog, error) {
	if size == 0 || size%4 != 0 || offset%4 != 0 {
		return nil, fmt.Errorf("log of %d bytes at offset %d: want multiples of 4", size, offset)
	}
	b, off, err := mapShared(fd, offset, size)
	if err != nil {
		return nil, fmt.Errorf("map log: %w", err)
	}
	return &dirtyLog{b, unsafe.Pointer(&b[off]), size * 8}, nil
}

// mark notes that n bytes from a guest address on were written. What the log has
// no room for is not noted: its size is the front end's promise.
func (l *dirtyLog) mark(addr, n uint64) {
	if n == 0 {
		return
	}
	for page := addr / logPage; page <= (addr+n-1)/logPage && page < l.pages; page++ {
		word := (*uint32)(unsafe.Add(l.words, page/32*4))
		if bit := uint32(1) << (page % 32); atomic.LoadUint32(word)&bit == 0 {
			atomic.OrUint32(word, bit)
		}
	}
}

func (l *dirtyLog) close() {
	if l != nil {
		_ = unix.Munmap(l.mapd)
	}
}

// contains tells whether an address of this process is in l.
func (l *dirtyLog) contains(addr uintptr) bool {
	return l != nil && addr-uintptr(unsafe.Pointer(&l.mapd[0])) < uintptr(len(l.mapd))
}

// logUsed notes that the used part of the ring was written: all of it, which is
// no more than a few pages.
func (r *ring) logUsed() {
	if r.addr.flags&vringFlagLog == 0 {
		return
	}
	n := usedSize(uint64(r.num))
	if r.packed {
		n = descSize(uint64(r.num))
	}
	r.log.mark(r.addr.dlog, n)
}

// logSegments notes that the first n bytes of the segments were written.
func (r *ring) logSegments(segs []segment, n uint32) {
	for _, s := range segs {
		k := min(n, s.n)
		r.log.mark(s.guest, uint64(k))
		n -= k
	}
}
