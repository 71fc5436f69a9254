package remote

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const (
	spoolMemory = 64 << 10 // bytes that wait in memory
	// MaxOutput is how much a host may say before it is its turn to be printed.
	MaxOutput = 64 << 20
)

// ErrTooMuch is what a Spool returns that is full.
var ErrTooMuch = errors.New("it prints too much")

// Spool keeps what is written until somebody can use it, and from then on passes
// everything on.
type Spool struct {
	mu   sync.Mutex
	to   io.Writer // not nil: released
	mem  []byte
	file *os.File // has no name
	size int64
}

// Write implements io.Writer.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to != nil {
		return s.to.Write(p)
	}
	if s.size+int64(len(p)) > MaxOutput {
		return 0, fmt.Errorf("%w: more than %d MiB", ErrTooMuch, MaxOutput>>20)
	}
	s.size += int64(len(p))
	if s.file == nil && len(s.mem)+len(p) <= spoolMemory {
		s.mem = append(s.mem, p...)
		return len(p), nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "vnetctl-")
		if err != nil {
			return 0, err
		}
		if err := os.Remove(f.Name()); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		s.file = f
	}
	return s.file.Write(p)
}

// Release writes what has come to w, and from now on everything at once.
func (s *Spool) Release(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = w
	var err error
	if len(s.mem) > 0 { // a pipe would wait for a reader of nothing
		_, err = w.Write(s.mem)
		s.mem = nil
	}
	if s.file != nil {
		_, e := io.Copy(w, io.NewSectionReader(s.file, 0, s.size))
		err = errors.Join(err, e, s.file.Close())
		s.file = nil
	}
	return err
}

// Close forgets what nobody wants any more.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mem = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
