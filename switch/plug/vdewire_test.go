package plug

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode"

	"vnetkit/switch/link"
)

// le builds a message of little-endian words, texts and zeros.
func le(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.LittleEndian.AppendUint32(b, uint32(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// unixAddr is a struct sockaddr_un of full size.
func unixAddr(family uint16, path string) []byte {
	b := make([]byte, 110)
	binary.LittleEndian.PutUint16(b, family)
	copy(b[2:], path)
	return b
}

func TestParseVDERequest(t *testing.T) {
	const magic = 0xfeedface
	addr := unixAddr(1, "/tmp/.00001-00000")
	abstract := "\x00" + strings.Repeat("x\x00\xff", 35) + "yz"
	long := "/" + strings.Repeat("p", 107)
	for _, tt := range []struct {
		name string
		msg  []byte
		want vdeRequest
	}{
		{"version 3", le(magic, 3, 0, addr, "QEMU user=me pid=1"),
			vdeRequest{port: link.AnyPort, path: "/tmp/.00001-00000", description: "QEMU user=me pid=1"}},
		{"a number", le(magic, 3, 7<<8, addr, "abc"), vdeRequest{port: 7, path: "/tmp/.00001-00000", description: "abc"}},
		{"the highest number", le(magic, 3, 0xffffff00, addr), vdeRequest{port: 0xffffff, path: "/tmp/.00001-00000"}},
		{"port 0", le(magic, 3, 1, addr, "abc"), vdeRequest{port: 0, path: "/tmp/.00001-00000", description: "abc"}},
		{"no description", le(magic, 3, 0, addr), vdeRequest{port: link.AnyPort, path: "/tmp/.00001-00000"}},
		{"124 bytes, as UML sends them", le(magic, 3, 0, addr, "\xde\x41"), vdeRequest{port: link.AnyPort, path: "/tmp/.00001-00000"}},
		{"version 1", le(magic, 0, "\x02\x00\x00\x00\x00\x01", addr, "old one"),
			vdeRequest{port: link.AnyPort, path: "/tmp/.00001-00000", description: "old one"}},
		{"version 1, port 0", le(magic, 1, "\x02\x00\x00\x00\x00\x01", addr), vdeRequest{port: 0, path: "/tmp/.00001-00000"}},
		{"abstract name with an odd tail", le(magic, 3, 0, unixAddr(1, abstract), "uml"),
			vdeRequest{port: link.AnyPort, path: "@" + abstract[1:], abstract: true, description: "uml"}},
		{"path that fills its field", le(magic, 3, 0, unixAddr(1, long), "abc"), vdeRequest{port: link.AnyPort, path: long, description: "abc"}},
		{"description that would confuse a terminal", le(magic, 3, 0, addr, "a\x1b[31m\nb\xffc\tü\x00rest"),
			vdeRequest{port: link.AnyPort, path: "/tmp/.00001-00000", description: "a?[31m?b?c?ü"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := parseVDERequest(tt.msg); err != nil || r != tt.want {
				t.Errorf("got %+v, %v\nwant %+v", r, err, tt.want)
			}
			// Every beginning of it that lacks something is incomplete, no error.
			for n := range 122 {
				if r, err := parseVDERequest(tt.msg[:n]); !errors.Is(err, errShortRequest) {
					t.Fatalf("%d bytes of it are %+v, %v", n, r, err)
				}
			}
		})
	}
}

func TestParseVDERequestRefuses(t *testing.T) {
	const magic = 0xfeedface
	addr := unixAddr(1, "/tmp/x")
	for name, tt := range map[string]struct {
		msg  []byte
		says string
	}{
		"version 0 of long ago":       {le("V0 of old"), "magic"},
		"HTTP":                        {le("GET / HTTP/1.1\r\n\r\n"), "magic"},
		"big-endian":                  {le("\xfe\xed\xfa\xce"), "magic"},
		"version 2":                   {le(magic, 2), "version 2"},
		"version 4":                   {le(magic, 4), "version 4"},
		"version 1 with a number":     {le(magic, 5<<8, "\x02\x00\x00\x00\x00\x01", addr), "version 1280"},
		"unknown type":                {le(magic, 3, 2, addr), "type 0x2"},
		"unknown type, with a number": {le(magic, 3, 0x1ff, addr), "type 0x1ff"},
		"address of another family":   {le(magic, 3, 0, unixAddr(2, "/tmp/x")), "family 2"},
		"relative path":               {le(magic, 3, 0, unixAddr(1, "tmp/x")), "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := parseVDERequest(tt.msg)
			if err == nil || errors.Is(err, errShortRequest) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %+v, %v; want an error that says %q", r, err, tt.says)
			}
		})
	}
}

// FuzzVDERequest holds for any bytes: no panic, what is refused is refused
// however much more comes, what is good has a path of the right form, is
// printable and survives being written and read again.
func FuzzVDERequest(f *testing.F) {
	const magic = 0xfeedface
	f.Add(le(magic, 3, 7<<8, unixAddr(1, "/tmp/x"), "abc"))
	f.Add(le(magic, 1, "\x02\x00\x00\x00\x00\x01", unixAddr(1, "\x00abs"), "abc"))
	f.Add(le(magic, 3, 0, unixAddr(1, "/tmp/x"), "\xff\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseVDERequest(b)
		if errors.Is(err, errShortRequest) {
			if len(b) >= 124 {
				t.Fatal("a whole request is called incomplete")
			}
			return
		}
		if err != nil {
			if _, err := parseVDERequest(append(bytes.Clone(b), "more"...)); err == nil || errors.Is(err, errShortRequest) {
				t.Fatal("a bad request becomes good by more bytes")
			}
			return
		}
		for _, c := range r.description {
			if !unicode.IsPrint(c) {
				t.Fatalf("description %q is not printable", r.description)
			}
		}
		if r.port < link.AnyPort || r.port > vdeMaxNumber || len(r.path) == 0 || r.abstract == (r.path[0] == '/') {
			t.Fatalf("got %+v", r)
		}
		if r.abstract || len(r.description) < 3 {
			return
		}
		if again, err := parseVDERequest(appendVDERequest(nil, r)); err != nil || again != r {
			t.Fatalf("written and read again: %+v, %v; was %+v", again, err, r)
		}
	})
}

func TestParseVDEReply(t *testing.T) {
	if path, err := parseVDEReply(unixAddr(1, "/tmp/sw/001.7")); err != nil || path != "/tmp/sw/001.7" {
		t.Errorf("got %q, %v", path, err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short": unixAddr(1, "/x")[:109], "family": unixAddr(3, "/x"), "empty": unixAddr(1, ""), "relative": unixAddr(1, "x"),
	} {
		if path, err := parseVDEReply(b); err == nil {
			t.Errorf("%s: %q", name, path)
		}
	}
}

func TestVDESocketNames(t *testing.T) {
	for name, want := range map[string]bool{
		"001.6": true, "000.11": true, "12345.678": true,
		"01.6": false, "001": false, "001.": false, ".6": false, "001.6a": false, "ctl": false, ".00001-00000": false, "001.6.7": false, "": false,
	} {
		if isVDESocketName(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}
