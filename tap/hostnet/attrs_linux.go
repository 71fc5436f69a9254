package hostnet

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// attr is one attribute of a netlink message: a type and bytes.
type attr struct {
	typ   uint16
	value []byte
}

type attrs []attr

const (
	attrHeader = 4
	attrTypes  = 0x3fff // without the flags "nested" and "network byte order"
)

// parseAttrs reads attributes; what is cut off at the end is left out.
func parseAttrs(b []byte) (list attrs) {
	for len(b) >= attrHeader {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attrHeader || n > len(b) {
			break
		}
		list = append(list, attr{binary.NativeEndian.Uint16(b[2:]), b[attrHeader:n]})
		b = b[min(align4(n), len(b)):]
	}
	return list
}

func (l attrs) find(typ uint16) int {
	return slices.IndexFunc(l, func(a attr) bool { return a.typ&attrTypes == typ })
}

// get is an attribute's bytes, or nil.
func (l attrs) get(typ uint16) []byte {
	if i := l.find(typ); i >= 0 {
		return l[i].value
	}
	return nil
}

// uint32 is an attribute's number; 0 without it.
func (l attrs) uint32(typ uint16) uint32 {
	if v := l.get(typ); len(v) >= 4 {
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

// text is an attribute's text; empty without it.
func (l attrs) text(typ uint16) string {
	v, _, _ := bytes.Cut(l.get(typ), []byte{0})
	return string(v)
}

// set is l with an attribute of that value, in a slice of its own.
func (l attrs) set(typ uint16, value []byte) attrs {
	out := slices.Clone(l)
	if i := out.find(typ); i >= 0 {
		out[i].value = value
		return out
	}
	return append(out, attr{typ, value})
}

// without is l without attributes of these types.
func (l attrs) without(types ...uint16) attrs {
	return slices.DeleteFunc(slices.Clone(l), func(a attr) bool { return slices.Contains(types, a.typ&attrTypes) })
}

// encode writes the attributes behind b.
func (l attrs) encode(b []byte) []byte {
	for _, a := range l {
		n := attrHeader + len(a.value)
		b = binary.NativeEndian.AppendUint16(b, uint16(n))
		b = binary.NativeEndian.AppendUint16(b, a.typ)
		b = append(b, a.value...)
		b = append(b, make([]byte, align4(n)-n)...)
	}
	return b
}

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func cString(s string) []byte { return append([]byte(s), 0) }
