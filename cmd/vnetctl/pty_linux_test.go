package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/mgmttest"
)

// pty is a terminal whose far side is a small emulator.
type pty struct {
	t      *testing.T
	master *os.File
	tty    *os.File

	mu   sync.Mutex
	emu  *emulator
	done chan struct{} // the emulator has ended
}

func openPTY(t *testing.T, w, h int) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	p := &pty{t: t, master: master, emu: newEmulator(w, h), done: make(chan struct{})}
	var n int
	err = onFD(master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	p.resize(w, h)
	go func() {
		defer close(p.done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.emu.write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.tty.Close()
		p.master.Close()
		<-p.done
	})
	return p
}

func (p *pty) resize(w, h int) {
	p.t.Helper()
	p.mu.Lock()
	p.emu.resize(w, h)
	p.mu.Unlock()
	if err := onFD(p.tty, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(h), Col: uint16(w)})
	}); err != nil {
		p.t.Fatal(err)
	}
}

// forgive forgets what went wrong until now.
func (p *pty) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emu.faults = nil
}

func (p *pty) modes() (m unix.Termios) {
	p.t.Helper()
	if err := onFD(p.tty, func(fd int) error {
		got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			m = *got
		}
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// until waits for a screen.
func (p *pty) until(what string, cond func(e *emulator) bool) {
	p.t.Helper()
	ok := false
	defer func() {
		if !ok {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Logf("screen:\n%s\nfaults: %q", p.emu.text(), p.emu.faults)
		}
	}()
	mgmttest.Until(p.t, what, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return cond(p.emu)
	})
	ok = true
}

func (p *pty) shows(words ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q on the screen", words), func(e *emulator) bool {
		for _, word := range words {
			if !strings.Contains(e.text(), word) {
				return false
			}
		}
		return true
	})
}

// vnetctl starts the program on the terminal.
func (p *pty) vnetctl(s *mgmttest.Switch, args string) *exec.Cmd {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "VNETCTL_TEST_ARGS=-s "+s.Dir+" "+args, "GORACE=atexit_sleep_ms=0")
	return p.start(cmd)
}

// start starts a program on the terminal, of which but may take something away.
func (p *pty) start(cmd *exec.Cmd, but ...func()) *exec.Cmd {
	p.t.Helper()
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.tty, p.tty, p.tty
	for _, f := range but {
		f()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

// emulator is as much of a VT100 as vnetctl uses. What it does not know, and
// what runs over the edge, is a fault.
type emulator struct {
	w, h, x, y int
	cells      [][]rune
	other      [][]rune // the page that is not shown
	hidden     bool     // no cursor
	alternate  bool
	pending    []byte
	faults     []string
}

func newEmulator(w, h int) *emulator {
	e := &emulator{w: w, h: h}
	e.cells, e.other = blank(w, h), blank(w, h)
	return e
}

func blank(w, h int) [][]rune {
	page := make([][]rune, h)
	for i := range page {
		page[i] = []rune(strings.Repeat(" ", w))
	}
	return page
}

// resize forgets what is shown: the program has to draw it anew.
func (e *emulator) resize(w, h int) {
	e.w, e.h, e.x, e.y = w, h, 0, 0
	e.cells, e.other = blank(w, h), blank(w, h)
}

func (e *emulator) text() string {
	var b strings.Builder
	for _, line := range e.cells {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return b.String()
}

func (e *emulator) write(b []byte) {
	e.pending = append(e.pending, b...)
	for len(e.pending) > 0 {
		n := e.step(e.pending)
		if n == 0 {
			return // the rest has not come yet
		}
		e.pending = e.pending[n:]
	}
}

func (e *emulator) step(b []byte) int {
	switch {
	case b[0] == '\r':
		e.x = 0
		return 1
	case b[0] == '\n':
		if e.y++; e.y >= e.h {
			if e.y = e.h - 1; e.alternate {
				e.faults = append(e.faults, "scrolled")
			}
			e.cells = append(e.cells[1:], []rune(strings.Repeat(" ", e.w)))
		}
		return 1
	case b[0] == 0x1b:
		end := 2
		for end < len(b) && (b[end] < '@' || b[end] > '~') {
			end++
		}
		if end >= len(b) {
			return 0
		}
		e.control(string(b[1 : end+1]))
		return end + 1
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if e.x >= e.w {
		e.faults = append(e.faults, fmt.Sprintf("%q runs over the edge", r))
		return n
	}
	e.cells[e.y][e.x] = r
	e.x++
	return n
}

func (e *emulator) control(seq string) {
	switch seq {
	case "[H":
		e.x, e.y = 0, 0
	case "[K":
		if e.x >= e.w {
			e.faults = append(e.faults, "erases the last column")
		}
		for x := e.x; x < e.w; x++ {
			e.cells[e.y][x] = ' '
		}
	case "[J":
		for y := e.y + 1; y < e.h; y++ {
			e.cells[y] = []rune(strings.Repeat(" ", e.w))
		}
	case "[?25l", "[?25h":
		e.hidden = seq == "[?25l"
	case "[?1047l": // as 1049, but the cursor stays
		if e.alternate {
			e.alternate, e.cells, e.other = false, e.other, e.cells
		}
	case "[?1049h", "[?1049l":
		if on := seq == "[?1049h"; on != e.alternate {
			e.alternate = on
			e.cells, e.other = e.other, e.cells
			e.x, e.y = 0, 0
		}
	default:
		if e.move(seq) {
			return
		}
		if !strings.HasSuffix(seq, "m") {
			e.faults = append(e.faults, fmt.Sprintf("unknown sequence %q", seq))
		}
	}
}

// move moves the cursor as far as it can go, if that is what seq means.
func (e *emulator) move(seq string) bool {
	last := len(seq) - 1
	n, err := strconv.Atoi(seq[1:last])
	if seq[1:last] == "" {
		n, err = 1, nil
	}
	if err != nil {
		return false
	}
	switch seq[last] {
	case 'A':
		e.y = max(0, e.y-n)
	case 'B':
		e.y = min(e.h-1, e.y+n)
	case 'C':
		e.x = min(e.w-1, e.x+n)
	case 'D':
		e.x = max(0, e.x-n)
	default:
		return false
	}
	return true
}
