package vhost

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/vhost/frontend"
)

// TestHostilePackedRings is TestHostileRings for packed rings.
func TestHostilePackedRings(t *testing.T) {
	const (
		inside = frontend.GuestBase + 1<<20
		avail  = descAvail
	)
	// A packed descriptor has its number where a split one has its flags.
	put := func(g *frontend.Guest, i int, addr uint64, n uint32, flags uint16) {
		g.SetDesc(g.TX[0].Desc+16*i, addr, n, uint16(i), flags|avail)
	}
	for _, c := range []struct {
		name string
		do   func(g *frontend.Guest)
		want error
	}{
		{"Outside", func(g *frontend.Guest) { put(g, 0, 0x1000, 100, 0) }, errOutside},
		{"AcrossTheEnd", func(g *frontend.Guest) {
			put(g, 0, frontend.GuestBase+uint64(len(g.Mem))-50, 100, 0)
		}, errOutside},
		{"WrongWay", func(g *frontend.Guest) { put(g, 0, inside, 100, descWrite) }, errWay},
		{"NoEnd", func(g *frontend.Guest) {
			for i := range 256 {
				put(g, i, inside, 10, descNext)
			}
		}, errLoop},
		{"TableInChain", func(g *frontend.Guest) {
			put(g, 1, inside, 16, descIndirect)
			put(g, 0, inside, 100, descNext)
		}, errIndirect},
		{"TableInTable", func(g *frontend.Guest) {
			g.SetDesc(1<<20, inside, 16, 0, descIndirect)
			put(g, 0, inside, 16, descIndirect)
		}, errIndirect},
		{"TableOutside", func(g *frontend.Guest) { put(g, 0, 0x1000, 16, descIndirect) }, errIndirect},
		{"TableHuge", func(g *frontend.Guest) { put(g, 0, inside, 16*1025, descIndirect) }, errIndirect},
		{"OutsideInTable", func(g *frontend.Guest) {
			g.SetDesc(1<<20, 0x1000, 100, 0, 0)
			put(g, 0, inside, 16, descIndirect)
		}, errOutside},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, g := pair(t, frontend.Options{Packed: true})
			defer l.Close()
			c.do(g)
			if err := readToEnd(t, l); !errors.Is(err, c.want) {
				t.Errorf("ended with %v, want %v", err, c.want)
			}
		})
	}
}

// TestHostileOrder sends a guest that is in use messages that do not belong there,
// and wants its link ended with a word on why.
func TestHostileOrder(t *testing.T) {
	const base, user = frontend.GuestBase, frontend.UserBase
	region := func(list ...uint64) []byte { return append(frontend.U64(0), frontend.U64(list...)...) }
	table := func(list ...uint64) []byte {
		return append(frontend.U32(uint32(len(list)/4), 0), frontend.U64(list...)...)
	}
	for _, c := range []struct {
		name string
		do   func(g *frontend.Guest) error
		want string
	}{
		{"SizeOfRunningRing", func(g *frontend.Guest) error { return g.Send(8, 0, frontend.U32(0, 128)) }, "ring 0 is in use"},
		{"BaseOfRunningRing", func(g *frontend.Guest) error { return g.Send(10, 0, frontend.U32(1, 7)) }, "ring 1 is in use"},
		{"OtherLayout", func(g *frontend.Guest) error {
			return g.Send(2, 0, frontend.U64(g.Features^frontend.FeatMergeable))
		}, "is in use"},
		{"RunningRingElsewhere", func(g *frontend.Guest) error {
			g.TX[0].Used = len(g.Mem)
			return g.Send(9, 0, g.TX[0].AddrBody(0, 0))
		}, "outside of the guest's memory"},
		{"DescriptorsNotAligned", func(g *frontend.Guest) error {
			g.TX[0].Desc += 8
			return g.Send(9, 0, g.TX[0].AddrBody(0, 0))
		}, "not aligned"},
		{"UsedNotAligned", func(g *frontend.Guest) error {
			g.TX[0].Used += 2
			return g.Send(9, 0, g.TX[0].AddrBody(0, 0))
		}, "not aligned"},
		{"NoMemory", func(g *frontend.Guest) error { return g.Send(5, 0, table()) }, "outside of the guest's memory"},
		{"MemoryTakenAway", func(g *frontend.Guest) error {
			return g.Send(38, 0, region(base, uint64(len(g.Mem)), user, 0))
		}, "outside of the guest's memory"},
		{"MemoryEndsInRing", func(g *frontend.Guest) error {
			return g.Send(5, 0, table(base, uint64(g.TX[0].Desc+16), user, 0), g.MemFD)
		}, "outside of the guest's memory"},
		{"GuestAddressOverflows", func(g *frontend.Guest) error {
			return g.Send(37, 0, region(1<<64-8, 4096, user+1<<40, 0), g.MemFD)
		}, "guest address"},
		{"OffsetOverflows", func(g *frontend.Guest) error {
			return g.Send(37, 0, region(base+1<<40, 4096, user+1<<40, 1<<64-4096), g.MemFD)
		}, "offset"},
		{"AllOfTheAddresses", func(g *frontend.Guest) error {
			return g.Send(37, 0, region(base+1<<42, 1<<63, user+1<<42, 0), g.MemFD)
		}, "a size of"},
		{"UserAddressesOverlap", func(g *frontend.Guest) error {
			return g.Send(37, 0, region(base+1<<40, 4096, user+4096, 0), g.MemFD)
		}, "overlap"},
		{"TooManyRegions", func(g *frontend.Guest) (err error) {
			for i := uint64(1); i <= maxRegions && err == nil; i++ {
				err = g.Send(37, 0, region(base+i<<32, 4096, user+i<<32, 0), g.MemFD)
			}
			return err
		}, "more than 64 memory regions"},
		{"KickWithNothing", func(g *frontend.Guest) error { return g.Send(12, 0, frontend.U64(1)) }, "ring 1 with 0 descriptors"},
		{"NoKickAtAll", func(g *frontend.Guest) error { return g.Send(12, 0, frontend.U64(1|1<<8)) }, "no eventfd"},
		{"NoKickAndOne", func(g *frontend.Guest) error {
			return g.Send(13, 0, frontend.U64(1|1<<8), g.TX[0].Call)
		}, "ring 1 with 1 descriptors"},
		{"DescriptorsBitByBit", func(g *frontend.Guest) error {
			fds := []int{g.MemFD, g.MemFD, g.MemFD, g.MemFD, g.MemFD}
			msg := frontend.Message(5, 0, table(base, 4096, user, 0))
			for _, part := range [][]byte{msg[:20], msg[20:]} {
				if _, _, err := g.Conn.WriteMsgUnix(part, unix.UnixRights(fds...), nil); err != nil {
					return err
				}
			}
			return nil
		}, "more than 8 descriptors"},
		{"LogWithoutFile", func(g *frontend.Guest) error { return g.Send(6, 0, frontend.U64(4096, 0)) }, "0 descriptors"},
		{"LogOddSize", func(g *frontend.Guest) error { return g.Send(6, 0, frontend.U64(4097, 0), g.MemFD) }, "multiples of 4"},
		{"LogOutsideOfFile", func(g *frontend.Guest) error {
			return g.Send(6, 0, frontend.U64(4096, 1<<40), g.MemFD)
		}, "of a file of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := openFDs(t)
			l, g := pair(t, frontend.Options{})
			if err := c.do(g); err != nil && !errors.Is(err, unix.EPIPE) {
				t.Fatal(err)
			}
			if err := readToEnd(t, l); !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want %q", err, c.want)
			}
			if err := errors.Join(l.Close(), g.Close()); err != nil {
				t.Error(err)
			}
			if now := openFDs(t); now > before {
				t.Errorf("%d descriptors are open, %d were", now, before)
			}
		})
	}
}

// TestPackedRingBehindItsEnd: a packed ring cannot go on at an entry that it does
// not have.
func TestPackedRingBehindItsEnd(t *testing.T) {
	l, g := pair(t, frontend.Options{Packed: true})
	defer l.Close()
	if _, err := g.Stop(g.TX[0]); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(g.TX[0], 256); err == nil {
		t.Error("it was started")
	}
	if err := readToEnd(t, l); !strings.Contains(err.Error(), "is to go on at entry 256") {
		t.Errorf("ended with %v", err)
	}
}

// TestCutLog cuts the log of a migration while it is in use.
func TestCutLog(t *testing.T) {
	l, g := pair(t, frontend.Options{Features: featLogAll})
	defer l.Close()
	const size = frontend.GuestBase>>12>>3 + 1<<12
	fd, err := unix.MemfdCreate("log", unix.MFD_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Ftruncate(fd, size))
	_, err = g.Ask(uint32(setLogBase), frontend.U64(size, 0), fd)
	must(t, err)
	must(t, g.Tell(frontend.ReqSetFeatures, frontend.U64(g.Features)))
	must(t, unix.Ftruncate(fd, 0))
	if err := writeOne(l, 60); err == nil || !strings.Contains(err.Error(), "memory is gone") {
		t.Errorf("writing ended with %v", err)
	}
}
