package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
)

// capture captures on one host and writes the frames here: to this process's
// standard output, or to the file of -w.
func (f *fleet) capture(cmd *cobra.Command) error {
	var flags captureFlags
	flags.file, _ = cmd.Flags().GetString("write")
	flags.rotate, _ = cmd.Flags().GetString("rotate")
	sink, err := f.newSink(&flags)
	if err != nil {
		return err
	}
	words := f.words[:0:0]
	for _, w := range f.words { // the file is for this side
		if !strings.HasPrefix(w, "--write=") && !strings.HasPrefix(w, "--rotate=") {
			words = append(words, w)
		}
	}
	f.words, f.streams = words, true
	j := f.jobs()[0]
	frames, far := io.Pipe()
	stderr := &lineWriter{to: f.err, lock: func(write func()) { write() }}
	if err := errors.Join(j.out.Release(far), j.err.Release(stderr)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.run(ctx)
		far.Close()
	}()
	pumped := copyFrames(frames, sink)
	if errors.Is(pumped, io.EOF) || errors.Is(pumped, api.ErrClosed) {
		pumped = nil // the other side says how it ended
	}
	if closed := sink.close(); closed != nil {
		pumped = closed
	}
	cancel() // the disk is full, say, and the other side still sends
	_ = frames.CloseWithError(errOutput)
	<-ended
	stderr.flush()
	switch {
	case pumped != nil && j.failure == nil:
		return explainSink(pumped, flags.file)
	case j.failure != nil:
		return j.failure
	}
	return errSilent(j.code)
}

// copyFrames copies a capture to its end. A file is made when there is something
// to write: one that is there is worth more than no capture.
func copyFrames(frames io.Reader, sink *sink) error {
	r := bufio.NewReader(frames)
	if _, err := r.Peek(1); err != nil {
		return err
	}
	if sink.path != "" {
		if err := sink.open(); err != nil {
			return err
		}
	}
	_, err := pump(capture.NewBlockReader(r), sink, 0) // the other side counts
	return err
}
