package remote

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// output passes on what ssh prints. exec.Cmd could do it, but not both: end
// although somebody else holds the pipe open (the connection that stays does),
// and lose nothing when who reads us, or the machine, is slow.
type output struct {
	r, w *os.File
	done chan struct{} // all has been passed on
}

// passOn begins to pass on what comes to an output of cmd, which is to be set to
// the file returned; finish must be called.
func passOn(to io.Writer) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{r, w, make(chan struct{})}
	go func() {
		defer close(o.done)
		defer r.Close() // who prints what nobody wants is to end
		_, err := io.Copy(to, r)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			o.rest(to)
		}
	}()
	return o, nil
}

// rest passes on what is in the pipe now.
func (o *output) rest(to io.Writer) {
	raw, err := o.r.SyscallConn()
	if err != nil || o.r.SetReadDeadline(time.Time{}) != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		var n int
		if err := raw.Read(func(fd uintptr) bool { n, err = syscall.Read(int(fd), buf); return true }); err != nil {
			return
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// finish waits until all that a process which has ended has printed is passed
// on; others may hold the pipe open.
func (o *output) finish(given <-chan struct{}) {
	select {
	case <-o.done:
		return
	case <-time.After(afterItsOutput):
		_ = o.r.SetReadDeadline(time.Now()) // a pipe can
	}
	select {
	case <-o.done:
	case <-given: // up: nobody waits for a reader that does not read
		select {
		case <-o.done:
		case <-time.After(afterItsOutput):
		}
	}
}

// outputs are both outputs of a command.
type outputs []*output

// connect connects the outputs of cmd.
func connect(cmd *exec.Cmd, stdout, stderr io.Writer) (list outputs, err error) {
	for _, end := range []struct {
		to   io.Writer
		file *io.Writer
	}{{stdout, &cmd.Stdout}, {stderr, &cmd.Stderr}} {
		if end.to == nil {
			continue
		}
		o, err := passOn(end.to)
		if err != nil {
			list.started()
			list.await()
			return nil, err
		}
		*end.file = o.w
		list = append(list, o)
	}
	return list, nil
}

// started closes our copies of what the command writes to.
func (list outputs) started() {
	for _, o := range list {
		_ = o.w.Close()
	}
}

// await waits for outputs that nobody has open.
func (list outputs) await() {
	for _, o := range list {
		<-o.done
	}
}
