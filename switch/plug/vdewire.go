package plug

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"vnetkit/switch/link"
)

// The plug protocol, as the programs speak it on the ctl connection. All numbers
// are in the byte order of the machine: both ends are on the same one.
//
//	offset  version 3                          version 1
//	0       u32 magic                          u32 magic
//	4       u32 3                              u32 type, 0 or 1
//	8       u32 type                           6 bytes address, ignored
//	12      struct sockaddr_un, 110 bytes      2 bytes more of that; at 14 the sockaddr_un
//	122     description to the end             at 124 the description
//
// The lowest byte of type is 0, or 1 for port 0; the rest is the number of the
// port that the client wants, 0 for any. The answer is one sockaddr_un, the
// switch's socket for this client.
const (
	vdeMagic    = 0xfeedface
	vdeVersion  = 3
	vdeAddrSize = 110
	vdePathSize = 108
	vdeHeadV3   = 12
	vdeHeadV1   = 14
	vdeMaxSize  = 256 // of a request; libvdeplug's have at most 250 bytes
	afUnix      = 1

	vdeTypePlug  = 0
	vdeTypePort0 = 1
)

// vdeRequest is what a client says first.
type vdeRequest struct {
	port int // the number it wants; link.AnyPort: any
	// path names its datagram socket. Of an abstract one, which has no file,
	// it starts with "@" in place of the NUL, and all other 107 bytes count.
	path        string
	abstract    bool
	description string // the client's words, made printable
}

// errShortRequest says that a request is good so far and not complete.
var errShortRequest = errors.New("request is incomplete")

// parseVDERequest understands a request, or says what is wrong with it as soon
// as that can be seen.
func parseVDERequest(b []byte) (r vdeRequest, err error) {
	if len(b) >= 4 {
		if m := binary.NativeEndian.Uint32(b); m != vdeMagic {
			return r, fmt.Errorf("magic number is %#08x, not VDE's", m)
		}
	}
	if len(b) < 8 {
		return r, errShortRequest
	}
	head, typ := vdeHeadV3, uint32(0)
	switch v := binary.NativeEndian.Uint32(b[4:]); v {
	case vdeTypePlug, vdeTypePort0: // version 1 has none: this is its type
		head, typ = vdeHeadV1, v
	case vdeVersion:
		if len(b) < vdeHeadV3 {
			return r, errShortRequest
		}
		typ = binary.NativeEndian.Uint32(b[8:])
	default:
		return r, fmt.Errorf("protocol version %d, want 3 or 1", v)
	}
	switch typ & 0xff {
	case vdeTypePlug:
		r.port = int(typ >> 8)
		if r.port == 0 {
			r.port = link.AnyPort
		}
	case vdeTypePort0:
		r.port = 0
	default:
		return r, fmt.Errorf("request type %#x is unknown", typ)
	}
	if len(b) < head+vdeAddrSize {
		return r, errShortRequest
	}
	if family := binary.NativeEndian.Uint16(b[head:]); family != afUnix {
		return r, fmt.Errorf("socket address of family %d, want %d", family, afUnix)
	}
	if err := r.setPath(b[head+2 : head+vdeAddrSize]); err != nil {
		return r, err
	}
	rest := b[head+vdeAddrSize:]
	// User-mode Linux and Dynamips send the whole C struct and no description:
	// what the compiler put behind a version 3 is no text.
	if head != vdeHeadV3 || len(rest) > 2 {
		r.description = printable(rest)
	}
	return r, nil
}

func (r *vdeRequest) setPath(p []byte) error {
	if p[0] == 0 {
		r.path, r.abstract = "@"+string(p[1:vdePathSize]), true
		return nil
	}
	path, _, _ := bytes.Cut(p, []byte{0})
	if path[0] != '/' {
		return fmt.Errorf("path %q of the client's socket is not absolute", path)
	}
	r.path = string(path)
	return nil
}

// printable is text without what would confuse a terminal, a log or a console
// client that reads line by line.
func printable(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	s := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(b))
	return strings.TrimSpace(s)
}

// appendVDERequest writes a request of version 3.
func appendVDERequest(dst []byte, r vdeRequest) []byte {
	typ := uint32(vdeTypePlug)
	if r.port == 0 {
		typ = vdeTypePort0
	} else if r.port > 0 {
		typ |= uint32(r.port) << 8
	}
	dst = binary.NativeEndian.AppendUint32(dst, vdeMagic)
	dst = binary.NativeEndian.AppendUint32(dst, vdeVersion)
	dst = binary.NativeEndian.AppendUint32(dst, typ)
	return append(appendVDEAddr(dst, r.path), r.description...)
}

// appendVDEAddr writes a path as a sockaddr_un of full size, which is also the
// answer to a request.
func appendVDEAddr(dst []byte, path string) []byte {
	end := len(dst) + vdeAddrSize
	dst = binary.NativeEndian.AppendUint16(dst, afUnix)
	dst = append(dst, path...)
	for len(dst) < end {
		dst = append(dst, 0)
	}
	return dst
}

// parseVDEReply returns the path in a switch's answer.
func parseVDEReply(b []byte) (string, error) {
	if len(b) < vdeAddrSize || binary.NativeEndian.Uint16(b) != afUnix {
		return "", fmt.Errorf("answer of %d bytes is no socket address", len(b))
	}
	path, _, _ := bytes.Cut(b[2:vdeAddrSize], []byte{0})
	if len(path) == 0 || path[0] != '/' {
		return "", fmt.Errorf("answer names no socket: %q", path)
	}
	return string(path), nil
}

// isVDESocketName tells whether a file of this name in a switch's directory is a
// port's socket: three or more digits, a dot, digits.
func isVDESocketName(name string) bool {
	port, n, ok := strings.Cut(name, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return ok && len(port) >= 3 && digits(port) && digits(n)
}
