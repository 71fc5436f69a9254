package vhost

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/vhost/frontend"
)

// FuzzMessages sends a session messages in any order, with any content, and with
// descriptors that are good or bad; in between the Link is read and written.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{1, 0, 15, 0, 3, 0, 5, 1, 8, 0, 9, 0, 12, 2})
	f.Add([]byte{2, 0, 5, 1, 37, 1, 38, 0, 8, 0, 10, 0, 9, 0, 13, 2, 12, 2, 18, 0, 11, 0, 6, 1, 40, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := connPair(t)
		l, err := newLink(near, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		g, err := frontend.Prepare(far, frontend.Options{Size: 16, BufSize: 256})
		if err != nil {
			t.Fatal(err)
		}
		fds := []int{-1, g.MemFD, g.RX[0].Kick, int(0)}
		for len(data) >= 2 && l.ended() == nil {
			req, pick := uint32(data[0]%64), data[1]
			data = data[2:]
			body := good(g, req, pick)
			if pick&0x80 != 0 { // spoilt
				for i := 0; i+1 < len(data) && i < 8 && len(body) > 0; i += 2 {
					body[int(data[i])%len(body)] = data[i+1]
				}
			}
			var with []int
			if fd := fds[pick&3]; fd >= 0 {
				with = append(with, fd)
			}
			if g.Send(req, uint32(pick>>4&1)*8, body, with...) != nil {
				break
			}
			b := frame.Batch{Buf: make([]byte, link.MinBuf)}
			_, _ = l.ReadBatch(&b), writeOne(l, 60)
		}
		if err := errors.Join(g.Close(), l.Close(), unix.Munmap(g.Mem)); err != nil {
			t.Fatal(err)
		}
	})
}

// good is the body of a message that makes sense.
func good(g *frontend.Guest, req uint32, pick byte) []byte {
	ring := uint32(pick >> 2 & 1)
	region := frontend.U64(frontend.GuestBase, uint64(len(g.Mem)), frontend.UserBase, 0)
	switch request(req) {
	case setFeatures:
		return frontend.U64(testOptions.features())
	case setProtocolFeatures:
		return frontend.U64(protoOffered)
	case setMemTable:
		return append(frontend.U32(1, 0), region...)
	case addMemReg, remMemReg:
		return append(frontend.U64(0), region...)
	case setVringNum:
		return frontend.U32(ring, 16)
	case setVringBase, getVringBase, setVringEnable:
		return frontend.U32(ring, 0)
	case setVringAddr:
		return g.TX[0].AddrBody(1, 0)
	case setVringKick, setVringCall, setVringErr:
		return frontend.U64(uint64(ring))
	case setLogBase:
		return frontend.U64(4096, 0)
	case sendRARP, netSetMTU, setStatus:
		return frontend.U64(1500)
	}
	return nil
}

// FuzzRings changes a guest's rings and descriptors in any way while they are in
// use. The Link may end; nothing else may happen, and no frame may be longer than
// there are any.
func FuzzRings(f *testing.F) {
	f.Add(false, []byte{0, 0, 0, 1, 1, 2, 3, 4})
	f.Add(true, []byte{9, 0, 7, 1, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, packed bool, data []byte) {
		l, g := pair(t, frontend.Options{Packed: packed, Size: 16, BufSize: 256})
		for i := range 8 {
			if err := g.SendFrame(make([]byte, 60+100*(i%3))); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i+4 <= len(data); i += 4 {
			r := g.TX[0]
			if data[i]&1 != 0 {
				r = g.RX[0]
			}
			at := []int{r.Desc, r.Desc, r.Avail, r.Used}[data[i]>>1&3]
			n := []int{256, 256, 40, 134}[data[i]>>1&3]
			g.Mem[at+int(data[i+1])%n] = data[i+2]
			if data[i]&0x80 != 0 { // an address that is inside
				binary.LittleEndian.PutUint64(g.Mem[r.Desc+int(data[i+1]&15)*16:], frontend.GuestBase+uint64(data[i+2])<<12)
			}
			if data[i+3]&3 == 0 {
				continue
			}
			b := frame.Batch{Buf: make([]byte, link.MinBuf)}
			if l.ReadBatch(&b) != nil {
				break
			}
			for _, ref := range b.Refs {
				if f := b.Frame(ref); len(f) < frame.HeaderLen || len(f) > frame.MaxLen {
					t.Fatalf("a frame of %d bytes", len(f))
				}
			}
			if err := writeOne(l, 60+int(data[i+3])); err != nil && !errors.Is(err, link.ErrFull) {
				break
			}
		}
		if err := errors.Join(l.Close(), g.Close(), unix.Munmap(g.Mem)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzHeader reads any message's beginning.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(frontend.Message(1, 0, nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerLen {
			return
		}
		h, err := parseHeader(b)
		if err == nil && h.size > maxPayload {
			t.Fatalf("a message of %d bytes is taken", h.size)
		}
		for _, parse := range []func([]byte) error{
			func(b []byte) error { _, err := parseVringAddr(b); return err },
			func(b []byte) error { _, err := parseMemReg(b); return err },
			func(b []byte) error {
				list, err := parseMemTable(b)
				if len(list) > maxFDs {
					t.Fatalf("%d regions are taken", len(list))
				}
				return err
			},
		} {
			_ = parse(b[headerLen:])
		}
	})
}
