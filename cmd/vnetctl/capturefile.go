package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
)

// sink is where a capture's blocks go: a stream, or files of which each is a
// whole capture by itself. Whatever happens, files end with a whole block.
type sink struct {
	w     io.Writer
	path  string // "": w is a stream
	limit int64  // size of a file; 0: no limit
	keep  int    // files

	file   *os.File
	size   int64  // written to file
	head   []byte // section and interfaces: what every file begins with
	buf    []byte // blocks that are not written yet
	ends   []blockEnd
	full   bool // file has more than head
	frames uint64
	made   int // files
	failed error
}

// blockEnd is where a block ends in the buffer.
type blockEnd struct {
	at    int
	frame bool
}

// flushSink is how many bytes gather at most.
const flushSink = 256 << 10

func (s *sink) open() (err error) {
	// Frames are private.
	s.file, err = os.OpenFile(s.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.w, s.size, s.full = s.file, 0, false
	s.made = min(s.made+1, max(s.keep, 1))
	return nil
}

// add takes a block in.
func (s *sink) add(b *capture.Block) error {
	switch b.Type {
	case capture.TypeSection:
		s.head = append(s.head[:0], b.Raw...)
	case capture.TypeInterface:
		s.head = append(s.head, b.Raw...)
	default:
		if s.limit > 0 && s.full && s.size+int64(len(s.buf)+len(b.Raw)) > s.limit {
			if err := s.rotate(); err != nil {
				return err
			}
		}
		s.full = true
	}
	s.buf = append(s.buf, b.Raw...)
	s.ends = append(s.ends, blockEnd{len(s.buf), b.Type == capture.TypePacket})
	if len(s.buf) >= flushSink {
		return s.flush()
	}
	return nil
}

// flush writes what has gathered. If only a part could be written, what is not
// a whole block is taken back.
func (s *sink) flush() error {
	if s.failed != nil || len(s.buf) == 0 {
		return s.failed
	}
	n, err := s.w.Write(s.buf)
	whole := 0
	for _, end := range s.ends {
		if end.at > n {
			break
		}
		whole = end.at
		if end.frame {
			s.frames++
		}
	}
	if err != nil {
		s.failed = err
		if s.file != nil {
			_ = s.file.Truncate(s.size + int64(whole)) // what is no file has nothing to take back
		}
	}
	s.size += int64(whole)
	s.buf, s.ends = s.buf[:0], s.ends[:0]
	return err
}

// rotate begins a new file and renames the older ones.
func (s *sink) rotate() error {
	if err := errors.Join(s.flush(), s.file.Close()); err != nil {
		s.failed = err
		return err
	}
	for i := s.keep - 1; i > 0; i-- {
		if err := os.Rename(s.name(i-1), s.name(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.file, s.failed = nil, err
			return err
		}
	}
	if err := s.open(); err != nil {
		s.file, s.failed = nil, err
		return err
	}
	s.buf = append(s.buf, s.head...)
	s.ends = append(s.ends, blockEnd{at: len(s.buf)})
	return nil
}

// name is the path of the file that has been renamed i times.
func (s *sink) name(i int) string {
	if i == 0 {
		return s.path
	}
	ext := filepath.Ext(s.path)
	return strings.TrimSuffix(s.path, ext) + "." + strconv.Itoa(i) + ext
}

// files lists the files that there are, the latest first; none for a stream.
func (s *sink) files() []string {
	list := []string{}
	for i := range s.made {
		list = append(list, s.name(i))
	}
	return list
}

func (s *sink) close() error {
	err := s.flush()
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// explainSink says what a failed write means.
func explainSink(err error, file string) error {
	if file == "" {
		file = "standard output"
	}
	var typed *api.Error
	switch {
	case err == nil, errors.As(err, &typed):
		return cannot(err, "go on capturing")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return cannot(&api.Error{Code: api.ErrFailed, Message: "the disk is full; what was written before is valid", Hint: "make room, write elsewhere, or bound the files: --rotate 100MB,5"}, "go on capturing into %s", file)
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.EISDIR):
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return cannot(&api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: "name a file in a directory that is there and yours: -w FILE"}, "write %s", file)
	}
	return cannot(err, "go on capturing into %s", file)
}

// Bounds of --rotate.
const (
	minRotate = 1000
	maxRotate = 1 << 50
	maxKeep   = 10000
)

// parseRotate reads SIZE[,COUNT].
func parseRotate(text string) (limit int64, keep int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	bad := func(cause string) error {
		e := usage("capture: --rotate %q makes no sense", text)
		e.cause, e.cure = cause, "--rotate 100MB,5"
		return e
	}
	size, count, counted := strings.Cut(text, ",")
	keep = 5
	if counted {
		if keep, err = strconv.Atoi(count); err != nil || keep < 1 || keep > maxKeep {
			return 0, 0, bad(fmt.Sprintf("%q is not a number of files from 1 to %d", count, maxKeep))
		}
	}
	digits := strings.TrimRight(size, "kKMGTiB")
	units := map[string]int64{"": 1, "B": 1, "k": 1e3, "K": 1e3, "kB": 1e3, "KB": 1e3, "KiB": 1 << 10, "M": 1e6, "MB": 1e6, "MiB": 1 << 20, "G": 1e9, "GB": 1e9, "GiB": 1 << 30, "T": 1e12, "TB": 1e12, "TiB": 1 << 40}
	unit, known := units[size[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 1 || n > maxRotate/unit || n*unit < minRotate {
		return 0, 0, bad(fmt.Sprintf("%q is not a size of 1kB or more, such as 500kB, 100MB or 2GiB", size))
	}
	return n * unit, keep, nil
}
