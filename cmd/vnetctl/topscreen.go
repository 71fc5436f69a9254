package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// What a terminal is told. All of it is in the VT220's set or ignored there.
const (
	screenEnter = "\x1b[?1049h\x1b[?25l" // another page, no cursor
	screenLeave = "\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineRest    = "\x1b[K" // erase from here to the end of the line
	screenRest  = "\x1b[J" // erase what is below
)

// screen is a terminal to draw on.
type screen struct {
	in, out *os.File
	keys    chan string // what was typed, a key at a time; closed when the terminal is gone

	old  *term.State
	done chan struct{} // the reader has ended
	quit chan struct{} // the reader should end
}

// newScreen looks whether in and out are a terminal. It changes nothing yet.
func newScreen(in, out *os.File) (*screen, error) {
	if in == nil || out == nil || !isTerminal(in) || !isTerminal(out) || os.Getenv("TERM") == "dumb" {
		return nil, errors.New("standard input and output are not a terminal")
	}
	return &screen{in: in, out: out, keys: make(chan string), done: make(chan struct{}), quit: make(chan struct{})}, nil
}

// onFD calls f with the file's descriptor. File.Fd would make a file block that
// does not, and then nothing could interrupt its reader.
func onFD(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(cerr, err)
}

func isTerminal(file *os.File) (yes bool) {
	_ = onFD(file, func(fd int) error { yes = term.IsTerminal(fd); return nil })
	return yes
}

// enter takes the terminal over.
func (s *screen) enter() error {
	err := onFD(s.in, func(fd int) (err error) {
		s.old, err = term.MakeRaw(fd)
		return err
	})
	if err != nil {
		return err
	}
	go s.read()
	if _, err := s.out.WriteString(screenEnter); err != nil {
		return errors.Join(err, s.leave())
	}
	return nil
}

// leave gives the terminal back as it was.
func (s *screen) leave() error {
	close(s.quit)
	_, werr := s.out.WriteString(screenLeave)
	err := onFD(s.in, func(fd int) error { return term.Restore(fd, s.old) })
	// Standard input may be of a kind whose reader cannot be woken up: then
	// it ends with the process.
	if s.in.SetReadDeadline(time.Now()) == nil {
		<-s.done
		_ = s.in.SetReadDeadline(time.Time{})
	}
	return errors.Join(werr, err)
}

// read hands on what is typed.
func (s *screen) read() {
	defer close(s.done)
	defer close(s.keys)
	buf := make([]byte, 64)
	for {
		n, err := s.in.Read(buf)
		for _, key := range keysIn(string(buf[:n])) {
			select {
			case s.keys <- key:
			case <-s.quit:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keysIn takes apart what came in at once: letters, and the sequences that
// arrows and the like send.
func keysIn(text string) (keys []string) {
	for len(text) > 0 {
		n := 1
		if strings.HasPrefix(text, "\x1b[") || strings.HasPrefix(text, "\x1bO") {
			n = 2
			for n < len(text) && (text[n] < '@' || text[n] > '~') {
				n++
			}
			n = min(n+1, len(text))
		}
		// In application mode arrows send O where they else send [.
		keys = append(keys, strings.Replace(text[:n], "\x1bO", "\x1b[", 1))
		text = text[n:]
	}
	return keys
}

// size is how much room there is.
func (s *screen) size() (w, h int) {
	_ = onFD(s.out, func(fd int) (err error) {
		w, h, err = term.GetSize(fd)
		return err
	})
	if w <= 0 || h <= 0 {
		return 80, 24 // a serial line does not say
	}
	return w, h
}

// draw replaces what the terminal shows. It writes once, so that nothing
// flickers, and erases only where a line has room left: at the right edge that
// would take the last letter away.
func (s *screen) draw(lines []string, w int) error {
	var b strings.Builder
	b.WriteString(screenHome)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		if visible(line) < w {
			b.WriteString(lineRest)
		}
	}
	if n := len(lines); n > 0 && visible(lines[n-1]) < w {
		b.WriteString(screenRest)
	}
	_, err := s.out.WriteString(b.String())
	return err
}

// visible is how many columns a line with colours takes up.
func visible(line string) int {
	for {
		i := strings.Index(line, "\x1b[")
		if i < 0 {
			return columnsOf(line)
		}
		end := strings.IndexByte(line[i:], 'm')
		if end < 0 {
			return columnsOf(line[:i])
		}
		line = line[:i] + line[i+end+1:]
	}
}
