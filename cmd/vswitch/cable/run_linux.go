package cable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"vnetkit/cmd/vswitch/detach"
	"vnetkit/cmd/vswitch/pidfile"
	"vnetkit/mgmt/api"
	"vnetkit/switch/link"
)

// cable is a cable in the making, and then one that carries.
type cable struct {
	opt    options
	kinds  []link.Kind
	ends   [2]*end
	pump   *pump
	log    *syslog.Writer // nil: none
	caller detach.Caller  // who waits until the cable is plugged in
	stderr io.Writer

	mu   sync.Mutex
	todo []func() error // guarded by mu: news for the pump's thread
}

// Run is vswitch plug with these arguments. It returns the exit code.
func Run(args []string, kinds []link.Kind) int {
	caller := detach.FindCaller()
	opt, err := parseOptions(args)
	if err == nil && opt.help {
		fmt.Print(Help())
		return api.ExitOK
	}
	c := &cable{opt: opt, kinds: kinds, caller: caller, stderr: os.Stderr}
	if err == nil && opt.daemon && !caller.Waits() {
		code, err := detach.Start()
		c.complain(err)
		return code
	}
	if err == nil {
		err = c.run()
	}
	c.complain(err)
	return exitCode(err)
}

// errAsked ends a cable in order: a signal asked for it.
var errAsked = errors.New("asked to stop")

func (c *cable) run() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.pump = &pump{news: c.hear}
	if c.pump.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("create eventfd: %w", err)
	}
	defer unix.Close(c.pump.wake)
	defer c.heedSignals(cancel)()
	defer func() { err = c.pullOut(err) }()
	if c.ends[0], err = c.openEnd(ctx, c.opt.a); err != nil {
		return err
	}
	if c.opt.command != nil {
		c.ends[1], err = c.commandEnd()
	} else {
		c.ends[1], err = c.openEnd(ctx, c.opt.b)
	}
	if err != nil {
		return err
	}
	c.pump.lanes = [2]*lane{newLane(c.ends[0], c.ends[1]), newLane(c.ends[1], c.ends[0])}
	pid, err := pidfile.Write(c.opt.pidFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pid.Remove()) }()
	c.note("plugged in: %s to %s", c.ends[0].name, c.ends[1].name)
	if c.opt.verbose {
		fmt.Fprintf(c.stderr, "vswitch plug: plugged in: %s to %s\n", c.ends[0].name, c.ends[1].name)
	}
	if err := c.caller.Release(true); err != nil {
		return err
	}
	return c.pump.run()
}

// commandEnd starts the command.
func (c *cable) commandEnd() (*end, error) {
	e := &end{max: c.opt.max}
	stderr := os.Stderr
	if c.opt.daemon { // the terminal's, which we let go of
		stderr = nil
	}
	cmd, err := startCommand(c.opt.command, stderr, func() {
		c.tell(func() error { return &leftError{e, io.EOF} })
	})
	if err != nil {
		return nil, err
	}
	s, err := newStream(cmd.in, cmd.out)
	if err != nil {
		cmd.stop()
		return nil, err
	}
	e.name, e.link, e.command = cmd.name(), s, cmd
	return e, nil
}

// pullOut closes both ends, and says how the cable ended.
func (c *cable) pullOut(err error) error {
	var left *leftError
	for _, e := range c.ends {
		if e == nil {
			continue
		}
		_ = e.link.Close()
		if e.command == nil {
			continue
		}
		forced := e.command.stop()
		isItsEnd := errors.As(err, &left) && left.end == e
		if status := e.command.status(); status != nil && isItsEnd && (!forced || errors.Is(err, io.EOF)) {
			err = status
		}
	}
	if left == nil {
		errors.As(err, &left)
	}
	if left != nil && errors.Is(err, io.EOF) && (left.end.command != nil || left.end.name == stdioName) {
		err = errAsked // whoever is on the other side of a stream may end it
	}
	if c.pump.lanes[0] != nil && c.pump.lanes[1] != nil {
		c.printCounts(c.opt.verbose)
	}
	if errors.Is(err, errAsked) {
		c.note("pulled out")
		return nil
	}
	return err
}

// printCounts says what was carried; unless all, only where something was lost.
func (c *cable) printCounts(all bool) {
	for _, l := range c.pump.lanes {
		if all || l.lost() > 0 {
			c.note("%v", l)
			fmt.Fprintf(c.stderr, "vswitch plug: %v\n", l)
		}
	}
}

// heedSignals has signals heard until the function that it returns is called.
func (c *cable) heedSignals(cancel func()) (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if s == syscall.SIGUSR1 {
					c.tell(func() error { c.printCounts(true); return nil })
					continue
				}
				cancel()
				c.tell(func() error { return errAsked })
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

// tell has f called on the pump's thread; an error ends the cable.
func (c *cable) tell(f func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.todo = append(c.todo, f)
	one := [8]byte{1}
	_, _ = unix.Write(c.pump.wake, one[:]) // fails only when it is due to wake anyway
}

// hear does what was told.
func (c *cable) hear() error {
	var b [8]byte
	_, _ = unix.Read(c.pump.wake, b[:])
	c.mu.Lock()
	todo := c.todo
	c.todo = nil
	c.mu.Unlock()
	for _, f := range todo {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// note tells the system log, if that was asked for.
func (c *cable) note(format string, args ...any) {
	if !c.opt.syslog {
		return
	}
	if c.log == nil {
		var err error
		if c.log, err = syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "vswitch-plug"); err != nil {
			c.opt.syslog = false
			fmt.Fprintf(c.stderr, "vswitch plug: no system log: %v\n", err)
			return
		}
	}
	_ = c.log.Info(fmt.Sprintf(format, args...))
}

// complain says what failed and what to do about it.
func (c *cable) complain(err error) {
	if err == nil {
		return
	}
	c.note("ended: %v", err)
	fmt.Fprintf(c.stderr, "vswitch plug: %v\n", err)
	var e *api.Error
	switch {
	case errors.As(err, &e) && e.Hint != "":
		fmt.Fprintf(c.stderr, "  cure:  %s\n", e.Hint)
	case isUsage(err):
		fmt.Fprintf(c.stderr, "  cure:  vswitch plug --help\n")
	}
}

func exitCode(err error) int {
	if isUsage(err) {
		return api.ExitUsage
	}
	return api.ExitCode(err)
}
