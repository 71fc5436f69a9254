package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"
)

func (c *call) dsInfo() error {
	c.printf("ctl dir %s\nstd mode 0%03o\n", c.opt.Dir, c.opt.Mode)
	return nil
}

func (c *call) showInfo() error {
	c.printf("%s\npid %d MAC %v uptime %d\n", c.banner(), os.Getpid(), c.opt.MAC, c.uptime())
	if c.opt.Socket != "" {
		c.printf("mgmt %s perm 0%03o\n", c.opt.Socket, c.opt.SocketMode)
	}
	return nil
}

// What the original's plugins do are commands here, so there is nothing to load.
func (c *call) pluginList() error {
	c.printf("%-22s %s\n%-22s %s\n", "NAME", "HELP", "------------", "----")
	return syscall.ENOENT
}

func (c *call) pluginAdd() error {
	if c.arg == "" {
		return syscall.EINVAL
	}
	return syscall.ENOSYS
}

func (c *call) pluginDel() error { return syscall.ENOENT }

const (
	maxScript = 1 << 20 // bytes
	maxDepth  = 8       // scripts that load scripts
)

// readScript reads a file that should be short and is no device.
func readScript(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return "", err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return "", &fs.PathError{Op: "load", Path: path, Err: syscall.EINVAL}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err == nil && len(text) > maxScript {
		err = &fs.PathError{Op: "load", Path: path, Err: syscall.EFBIG}
	}
	return string(text), err
}

func scriptLines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// load carries out a script and shows each line before its answer.
func (c *call) load() error {
	if c.arg == "" {
		return syscall.ENOENT
	}
	if c.depth == maxDepth {
		return syscall.ELOOP
	}
	text, err := readScript(c.arg)
	if err != nil {
		return err
	}
	inner := &session{Console: c.Console, out: c.out, stdio: true, depth: c.depth + 1, news: c.news}
	for _, l := range scriptLines(text) {
		if c.out.err != nil {
			return errEnd // nobody is there to read it
		}
		c.printf("vde[%s]: %s\n", c.arg, printable(l))
		if isComment(l) {
			continue
		}
		if err := inner.line(c.ctx, l); err != nil {
			c.halt = inner.halt
			return err
		}
		c.out.relieve()
	}
	return nil
}

// line carries out a line of a script. It fails only if that was the last one.
func (s *session) line(ctx context.Context, l string) error {
	if len(l) > maxLine {
		s.out.printf("%s", status(fmt.Errorf("%w: a line of more than %d bytes", syscall.E2BIG, maxLine)))
		return nil
	}
	if err := s.execute(ctx, l); errors.Is(err, errEnd) {
		return err
	}
	return nil
}

// printable replaces what could play tricks on a terminal or on who reads lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
