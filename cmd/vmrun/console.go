package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"vnetkit/mgmt/api"
)

// console joins the guest's serial line with a terminal.
func console(ctx context.Context, name string, in *os.File, out io.Writer) error {
	v, err := running(name)
	if err != nil {
		return err
	}
	if v.consoleTaken(ctx) {
		fmt.Fprintf(os.Stderr, "vmrun: another program is at the console of %s: it is yours when that has ended\n", name)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", v.path("console"))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	restore := rawTerminal(in)
	defer restore() // also when we are killed, as far as we are told
	done := make(chan error, 2)
	go func() { _, err := io.Copy(out, conn); done <- err }()
	go func() {
		if typeInto(conn, in) {
			done <- nil
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return exitCode(api.ExitFailed)
	}
}

// consoleTaken tells whether somebody is at the console: QEMU takes one at a time,
// and lets others wait without a word.
func (v *vm) consoleTaken(ctx context.Context) bool {
	var devices []struct{ Label, Filename string }
	for range 10 { // it may not have noticed yet that the last has gone
		c, err := v.monitor(ctx)
		if err != nil {
			return false // nobody knows
		}
		err = c.Execute("query-chardev", nil, &devices)
		_ = c.Close()
		taken := slices.ContainsFunc(devices, func(d struct{ Label, Filename string }) bool {
			return d.Label == consoleID && !strings.HasPrefix(d.Filename, "disconnected:")
		})
		if err != nil || !taken {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}

// consoleID is what QEMU calls the serial line's other end.
const consoleID = "vmruncon"

// escape ends a console: Ctrl-].
const escape = 0x1d

// typeInto copies until the escape, and tells whether that came: the end of what
// is typed is not the end of what is to be seen.
func typeInto(conn net.Conn, in io.Reader) (over bool) {
	buf := make([]byte, 1024)
	for {
		n, err := in.Read(buf)
		text, _, over := strings.Cut(string(buf[:n]), string(rune(escape)))
		if _, werr := io.WriteString(conn, text); over || werr != nil || err != nil {
			return over
		}
	}
}
