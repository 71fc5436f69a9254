package console

import (
	"fmt"
	"io"
	"time"
)

// flushAt is how many bytes of an answer gather before they are written.
const flushAt = 64 << 10

// output gathers an answer and writes it, in pieces where relieve is called. An error
// stays: the client is gone, and the rest is for nobody.
type output struct {
	w        io.Writer
	deadline func(time.Time) error // of one write; nil: it may take any time
	buf      []byte
	sent     bool // part of the present answer was written
	err      error
}

func (o *output) printf(format string, args ...any) {
	o.buf = fmt.Appendf(o.buf, format, args...)
}

// relieve writes what was gathered if it is much. Long answers call it now and
// then, with no lock held: the client may be slow.
func (o *output) relieve() {
	if len(o.buf) >= flushAt {
		o.sent = true
		_ = o.flush() // the last one tells
	}
}

// flush writes what was gathered. A client that takes nothing for a while is
// given up.
func (o *output) flush() error {
	const piece = 256 << 10 // the client may take as long for each
	for rest := o.buf; len(rest) > 0 && o.err == nil; {
		n := min(len(rest), piece)
		if o.deadline != nil {
			_ = o.deadline(time.Now().Add(writeTimeout)) // fails only where writing will
		}
		_, o.err = o.w.Write(rest[:n])
		rest = rest[n:]
	}
	o.buf = o.buf[:0]
	return o.err
}
