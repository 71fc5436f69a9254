package vhost

import (
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is the guest's memory as this process sees it. It is not changed once
// it is in use: another takes its place, which may share mappings with it.
type memory struct {
	regions []region
}

// region is a piece of the guest's memory.
type region struct {
	memRegion
	base unsafe.Pointer // of the region's first byte here
	mapd []byte         // what munmap takes
}

const (
	// maxRegions is what ADD_MEM_REG can bring it to. QEMU asks for one for
	// each DIMM.
	maxRegions = 64
	// maxMemory bounds what one front end takes of this process's addresses.
	maxMemory = 4 << 40
)

// maxGuest keeps addresses far from the end of the number range, so that sums
// of an address and a length need no check. No processor has so many.
const maxGuest = 1 << 56

// check says what is wrong with r as far as can be told without its file.
func (r memRegion) check() error {
	switch {
	case r.size == 0 || r.size > maxMemory:
		return fmt.Errorf("a size of %#x", r.size)
	case r.guest > maxGuest:
		return fmt.Errorf("guest address %#x", r.guest)
	case r.offset > maxMemory:
		return fmt.Errorf("offset %#x", r.offset)
	}
	if _, over := bits.Add64(r.user, r.size, 0); over != 0 {
		return fmt.Errorf("user address %#x and size %#x that go beyond the end", r.user, r.size)
	}
	return nil
}

// with is m and one more region, which lies in the file fd.
func (m *memory) with(r memRegion, fd int) (*memory, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("memory region with %w", err)
	}
	if len(m.regions) >= maxRegions {
		return nil, fmt.Errorf("more than %d memory regions", maxRegions)
	}
	total := r.size
	for _, o := range m.regions {
		total += o.size
		if r.guest < o.guest+o.size && o.guest < r.guest+r.size {
			return nil, fmt.Errorf("memory regions at %#x and %#x overlap", o.guest, r.guest)
		}
		if r.user < o.user+o.size && o.user < r.user+r.size {
			return nil, fmt.Errorf("memory regions at user addresses %#x and %#x overlap", o.user, r.user)
		}
	}
	if total > maxMemory {
		return nil, fmt.Errorf("memory of %#x bytes, want at most %#x", total, uint64(maxMemory))
	}
	mapped, err := mapRegion(r, fd)
	if err != nil {
		return nil, err
	}
	return &memory{append(m.regions[:len(m.regions):len(m.regions)], mapped)}, nil
}

// mapRegion maps r, which must be inside its file.
func mapRegion(r memRegion, fd int) (region, error) {
	b, off, err := mapShared(fd, r.offset, r.size)
	if err != nil {
		return region{}, fmt.Errorf("map memory region at %#x: %w", r.guest, err)
	}
	return region{r, unsafe.Pointer(&b[off]), b}, nil
}

// mapShared maps size bytes of a file from offset on; they begin off bytes into
// what it returns.
//
// Only files that live in memory are taken. A file of any other kind could be
// served by a program, and its pages keep a worker waiting for ever.
func mapShared(fd int, offset, size uint64) (b []byte, off uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return nil, 0, fmt.Errorf("what file is it: %w", err)
	}
	if fs.Type != unix.TMPFS_MAGIC && fs.Type != unix.HUGETLBFS_MAGIC {
		return nil, 0, fmt.Errorf("the file is not memory (file system type %#x); give the VM -object memory-backend-memfd,share=on", fs.Type)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, 0, fmt.Errorf("how long is the file: %w", err)
	}
	if st.Size < 0 || offset > uint64(st.Size) || size > uint64(st.Size)-offset {
		return nil, 0, fmt.Errorf("%#x bytes at offset %#x of a file of %#x", size, offset, st.Size)
	}
	// Huge pages must be mapped and unmapped whole.
	page := max(uint64(unix.Getpagesize()), uint64(fs.Bsize))
	from := offset &^ (page - 1)
	length := (offset + size - from + page - 1) &^ (page - 1)
	b, err = unix.Mmap(fd, int64(from), int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, 0, fmt.Errorf("mmap: %w", err)
	}
	_ = unix.Madvise(b, unix.MADV_DONTDUMP) // a guest's memory is no part of our core dumps
	return b, offset - from, nil
}

// without is m less the region r.
func (m *memory) without(r memRegion) *memory {
	left := slices.DeleteFunc(slices.Clone(m.regions), func(o region) bool { return o.is(r) })
	return &memory{left}
}

// knows tells whether m has the region r.
func (m *memory) knows(r memRegion) bool {
	return slices.ContainsFunc(m.regions, func(o region) bool { return o.is(r) })
}

// is tells whether r is the region that a front end means by o.
func (r region) is(o memRegion) bool {
	return r.guest == o.guest && r.size == o.size && r.user == o.user
}

// release unmaps what next does not need. Nobody may use m any more.
func (m *memory) release(next *memory) {
	for i := range m.regions {
		if !next.has(&m.regions[i]) {
			_ = unix.Munmap(m.regions[i].mapd)
		}
	}
}

func (m *memory) has(r *region) bool {
	for i := range m.regions {
		if m.regions[i].base == r.base {
			return true
		}
	}
	return false
}

// guest finds n bytes of the guest's memory, which must lie in one region; else
// it returns nil. hint is the number of a region to try first.
func (m *memory) guest(addr, n uint64, hint *int) unsafe.Pointer {
	if h := *hint; h < len(m.regions) {
		if r := &m.regions[h]; addr-r.guest < r.size && n <= r.size-(addr-r.guest) {
			return unsafe.Add(r.base, addr-r.guest)
		}
	}
	return m.search(addr, n, hint)
}

func (m *memory) search(addr, n uint64, hint *int) unsafe.Pointer {
	for i := range m.regions {
		if r := &m.regions[i]; addr-r.guest < r.size && n <= r.size-(addr-r.guest) {
			*hint = i
			return unsafe.Add(r.base, addr-r.guest)
		}
	}
	return nil
}

// room is how many bytes there are from addr on to the end of its region.
func (m *memory) room(addr uint64) uint64 {
	for i := range m.regions {
		if r := &m.regions[i]; addr-r.guest < r.size {
			return r.size - (addr - r.guest)
		}
	}
	return 0
}

// user is guest for an address of the front end's.
func (m *memory) user(addr, n uint64) unsafe.Pointer {
	for i := range m.regions {
		if r := &m.regions[i]; addr-r.user < r.size && n <= r.size-(addr-r.user) {
			return unsafe.Add(r.base, addr-r.user)
		}
	}
	return nil
}

// contains tells whether an address of this process is in m.
func (m *memory) contains(addr uintptr) bool {
	for i := range m.regions {
		if r := &m.regions[i]; addr-uintptr(r.base) < uintptr(r.size) {
			return true
		}
	}
	return false
}
