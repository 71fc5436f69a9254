package console

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"vnetkit/mgmt/capture"
	vswitch "vnetkit/switch"
)

// dump writes what all ports carry to a file, as pcapng. Guarded by Console.mu.
type dump struct {
	path     string // absolute
	buffered bool   // write when much has gathered, not at once
	running  *running
}

// running is a dump that is going on. Its goroutine owns file and out.
type running struct {
	c    *vswitch.Capture
	file *os.File
	out  *capture.Writer
	done chan error // receives what became of it, once
}

func (c *call) pdumpActive() error {
	on := c.word() != "" // says how it is now
	if on {
		var err error
		if on, err = onOff(c.word()); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.word() == "":
		c.printf("active=%d\n", bit(c.dump.running != nil))
		return nil
	case on && c.dump.running != nil:
		return syscall.EEXIST
	case on:
		return c.startDump()
	case c.dump.running == nil:
		return syscall.ENOENT
	}
	return c.dump.stop()
}

func (c *call) pdumpFile() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.arg != "" {
		path, err := filepath.Abs(c.arg)
		switch {
		case err != nil:
			return err
		case c.dump.running != nil:
			return fmt.Errorf("%w: a dump to %s is going on", syscall.EBUSY, c.dump.path)
		}
		if fi, err := os.Stat(filepath.Dir(path)); err != nil || !fi.IsDir() {
			c.printf("ERROR: cannot dump to %s\n", printable(c.arg))
			return syscall.EINVAL
		}
		c.dump.path = path
	}
	c.printf("dumpfile=%s\n", printable(c.dump.path))
	return nil
}

func (c *call) pdumpBuffered() error {
	if c.word() == "" {
		return nil
	}
	on, err := onOff(c.word())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dump.running != nil {
		return syscall.EBUSY
	}
	c.dump.buffered = on
	return nil
}

// startDump is called with mu held.
func (c *Console) startDump() error {
	file, err := createDump(c.dump.path)
	if err != nil {
		return err
	}
	tap, err := c.sw.Capture(vswitch.CaptureOptions{})
	if err != nil {
		return errors.Join(err, file.Close())
	}
	r := &running{
		c: tap, file: file, done: make(chan error, 1),
		out: capture.NewWriter(file, capture.Options{Application: "vswitch " + c.opt.Version, Comment: "switch " + c.opt.Dir}),
	}
	for _, p := range c.sw.Ports() {
		r.out.Announce(capture.Interface{Port: p.Config.ID, Name: p.Config.Name})
	}
	c.dump.running = r
	go r.run(!c.dump.buffered)
	return nil
}

// createDump makes the file anew. It empties a capture, which is what one that
// stands in its place will be, and nothing else.
func createDump(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	var head [4]byte
	n, err := file.ReadAt(head[:], 0)
	if n < len(head) && errors.Is(err, io.EOF) {
		err = nil
	}
	if fi, e := file.Stat(); err == nil && e == nil && fi.Mode().IsRegular() {
		switch binary.LittleEndian.Uint32(head[:]) {
		case capture.TypeSection, 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1:
			n = 0
		}
		if n == 0 {
			if err = file.Truncate(0); err == nil {
				return file, nil
			}
		} else {
			err = fmt.Errorf("%w: %s is there and no capture", syscall.EEXIST, path)
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: %s is not a file", syscall.EINVAL, path)
	}
	return nil, errors.Join(err, file.Close())
}

// run copies frames to the file until the capture ends.
func (r *running) run(promptly bool) {
	for {
		if promptly {
			if err := r.out.Flush(); err != nil {
				break
			}
		}
		frames, lost, err := r.c.Read(context.Background())
		if err != nil {
			break
		}
		for i := range frames {
			f := &frames[i]
			p := &capture.Packet{
				Interface: capture.Interface{Port: f.Port, Name: f.Name},
				Time:      f.Time, Out: f.Dir == vswitch.DirOut, Len: f.Len, Data: f.Data,
			}
			if f.Dropped {
				p.Comment = fmt.Sprintf("dropped: %s (%s)", f.Reason, f.Reason.Sentence())
			}
			r.out.Packet(p)
		}
		r.out.Lost(lost, time.Now())
	}
	r.out.Finish(time.Now())
	err := r.out.Flush()
	r.done <- errors.Join(err, r.c.Close(), r.file.Close())
}

// stop ends the dump, if there is one, and tells what became of it. Called with
// Console.mu held.
func (d *dump) stop() error {
	if d.running == nil {
		return nil
	}
	r := d.running
	d.running = nil
	_ = r.c.Close() // once more than run; it always succeeds
	return <-r.done
}
