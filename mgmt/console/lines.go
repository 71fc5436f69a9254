package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// maxLine is the longest command, in bytes.
const maxLine = 64 << 10

// line is what was typed, or that it was too long to be kept.
type line struct {
	text string
	long bool
}

// readLines takes r apart into lines until it ends or ctx does, and then closes
// out. What stands behind the last newline is a line, too, when r ends or, where
// r knows about that, when nothing follows.
func readLines(ctx context.Context, r io.Reader, out chan<- line) {
	defer close(out)
	var part []byte
	long := false
	send := func() bool {
		l := line{text: string(part), long: long}
		part, long = part[:0], false
		select {
		case out <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	idle, _ := r.(*idleReader)
	buf := make([]byte, 4096)
	for {
		n, err := 0, error(nil)
		if idle != nil {
			n, err = idle.readAfter(buf, part)
		} else {
			n, err = r.Read(buf)
		}
		for rest := buf[:n]; len(rest) > 0; {
			i := bytes.IndexByte(rest, '\n')
			piece := rest
			if i >= 0 {
				piece = rest[:i]
			}
			if long = long || len(part)+len(piece) > maxLine; !long {
				part = append(part, piece...)
			}
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			if !send() {
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !send() {
				return
			}
		default:
			if len(part) > 0 || long {
				send()
			}
			return
		}
	}
}

// How long a line without its newline is waited for: shorter if it is a command
// already. vdeterm sends no newlines, and programs give up after a second.
const (
	idleKnown   = 50 * time.Millisecond
	idleUnknown = 500 * time.Millisecond
)

// idleReader reads from a connection and tells when nothing follows.
type idleReader struct {
	conn  net.Conn
	known func(string) bool // tells whether a text is a command as it is
}

// readAfter reads what follows part. It fails with os.ErrDeadlineExceeded when
// part is not empty and nothing does.
func (r *idleReader) readAfter(buf, part []byte) (int, error) {
	var late time.Time
	if len(part) > 0 {
		wait := idleUnknown
		if r.known(string(part)) {
			wait = idleKnown
		}
		late = time.Now().Add(wait)
	}
	if err := r.conn.SetReadDeadline(late); err != nil {
		return 0, err
	}
	return r.conn.Read(buf)
}

// Read implements io.Reader.
func (r *idleReader) Read(buf []byte) (int, error) { return r.conn.Read(buf) }

// trimLine is a line without what counts for nothing at its ends.
func trimLine(text string) string { return strings.Trim(text, blanks) }
