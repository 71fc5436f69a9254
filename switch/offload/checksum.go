package offload

import (
	"encoding/binary"
	"math/bits"
)

// sum adds p to a one's complement sum (RFC 1071) that is kept in 64 bits. A sum
// is of an even number of bytes, but for the last part.
func sum(p []byte, acc uint64) uint64 {
	var c uint64
	for len(p) >= 64 {
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p), 0)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[8:]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[16:]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[24:]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[32:]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[40:]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[48:]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p[56:]), c)
		acc, c = bits.Add64(acc, 0, c)
		acc += c // cannot overflow: after that carry acc is 0
		p = p[64:]
	}
	for len(p) >= 8 {
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(p), 0)
		acc += c
		p = p[8:]
	}
	if len(p) == 0 {
		return acc
	}
	var last [8]byte
	copy(last[:], p)
	acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(last[:]), 0)
	return acc + c
}

// fold makes 16 bits of a sum. They are in the machine's order: put writes them
// as they belong into a header.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc>>16 + acc&0xffff)
}

// put writes the checksum for a sum. 0 is written as its other form, 0xffff: in
// UDP 0 means that there is no checksum, everywhere else both are the same.
func put(field []byte, acc uint64) {
	c := ^fold(acc)
	if c == 0 {
		c = 0xffff
	}
	binary.NativeEndian.PutUint16(field, c)
}

// pseudo is the sum of the pseudo-header of an IP packet whose payload is of
// protocol proto and n bytes long (RFC 9293, 3.1; RFC 8200, 8.1). addrs are
// both addresses.
func pseudo(addrs []byte, proto uint8, n int) uint64 {
	var tail [8]byte
	binary.BigEndian.PutUint32(tail[:], uint32(n))
	tail[7] = proto
	return sum(tail[:], sum(addrs, 0))
}
