package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
	"vnetkit/switch/frame"
)

// parseFrame reads a frame in any of the three forms.
func parseFrame(args []string) (frame.Frame, error) {
	text := strings.Join(args, " ")
	if digits, ok := hexDigits(text); ok {
		f, err := hex.DecodeString(digits)
		if err != nil {
			e := usage("trace: %d hex digits are not whole bytes", len(digits))
			e.cause, e.cure = "the frame looks like hex, of which each byte has two digits", "vnetctl trace --help"
			return nil, e
		}
		return checkFrame(f)
	}
	if len(args) == 1 && !strings.Contains(text, "=") {
		if i := strings.LastIndexByte(text, ':'); i > 0 {
			return frameOfFile(text[:i], text[i+1:])
		}
	}
	f, err := parseFields(args)
	if err != nil {
		return nil, err
	}
	built, err := f.build()
	if err != nil {
		return nil, err
	}
	return checkFrame(built)
}

// checkFrame refuses what no port could bring.
func checkFrame(f frame.Frame) (frame.Frame, error) {
	if len(f) <= frame.MaxLen {
		return f, nil
	}
	e := usage("trace: a frame of %d bytes is too long", len(f))
	e.cause, e.cure = fmt.Sprintf("no port can bring more than %d", frame.MaxLen), "make it shorter"
	return nil, e
}

// hexDigits takes out what people put between digits. ok is false when
// something else is there too.
func hexDigits(text string) (digits string, ok bool) {
	digits = strings.NewReplacer(":", "", "-", "", " ", "", "\n", "", "\t", "").Replace(strings.TrimPrefix(text, "0x"))
	return digits, digits != "" && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}

// frameOfFile reads frame number n, from 1.
func frameOfFile(path, number string) (frame.Frame, error) {
	what := fmt.Sprintf("read frame %s of %s", number, path)
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		e := usage("trace: %q is not the number of a frame", number)
		e.cause, e.cure = "a file's frames count from 1, as Wireshark shows them", "vnetctl trace PORT "+path+":1"
		return nil, e
	}
	fail := func(format string, args ...any) (frame.Frame, error) {
		e := &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf(format, args...), Hint: "name a pcap or pcapng file and the number of a frame in it; capinfos " + path + " shows what it is"}
		return nil, cannot(e, "%s", what)
	}
	file, err := os.Open(path)
	if err != nil {
		return fail("%v", err)
	}
	defer file.Close()
	r, err := capture.NewReader(file)
	if err != nil {
		return fail("%v", err)
	}
	for i := 1; ; i++ {
		rec, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return fail("it ends after frame %d", i-1)
		case err != nil:
			return fail("frame %d: %v", i, err)
		case i < n:
			continue
		case rec.Len > len(rec.Data) && rec.Len <= frame.MaxLen:
			// Cut off when it was captured; zeros keep its length.
			rec.Data = append(rec.Data, make([]byte, rec.Len-len(rec.Data))...)
		}
		return checkFrame(rec.Data)
	}
}
