package main

import (
	"io"
	"os"
)

// outWriter is standard output. It keeps the first error, so that nobody who prints
// a line needs to look for one: a full disk is reported at the end.
type outWriter struct {
	w   io.Writer
	err error
}

func (p *outWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil && p.err == nil {
		p.err = err
	}
	return n, err
}

// outFile is standard output as a file, if it is one.
func (a *app) outFile() (*os.File, bool) {
	w := a.out
	if p, ok := w.(*outWriter); ok {
		w = p.w
	}
	f, ok := w.(*os.File)
	return f, ok
}
