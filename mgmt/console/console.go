package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Options says what a Console should know about the daemon it is part of.
type Options struct {
	Version    string      // of the daemon
	Dir        string      // of the switch
	Mode       fs.FileMode // of the sockets that clients plug into
	Socket     string      // where the console is; "": on standard input only
	SocketMode fs.FileMode
	MAC        frame.MAC // of the switch, as a bridge
	Priority   int       // of the switch in a spanning tree; 0: 0x8000
	Tree       Tree      // the spanning tree; nil: there is none
	Shutdown   func()    // ends the daemon; nil: shutdown is refused
	Log        *slog.Logger
}

// compatible is the version of vde_switch whose console this is. It stands in the
// first line of the banner, which programs take apart.
const compatible = "2.3.2"

// Console answers the commands of one switch's console.
type Console struct {
	sw      *vswitch.Switch
	opt     Options
	log     *slog.Logger
	tree    Tree
	started time.Time
	table   []command

	sessions atomic.Int32
	tending  sync.WaitGroup // sessions

	mu    sync.Mutex // guards what follows; held by commands that read it or change the switch by it
	vlans vlanBook
	bases map[int]counters // what port/resetcounter subtracts, by port
	seq   uint64           // events up to this one are in bases and vlans
	gcint int              // seconds, of hash/setgcint: shown only
	dump  dump
	ips   ipLog
}

// New returns the console of sw. Close ends what its commands have started.
func New(sw *vswitch.Switch, opt Options) *Console {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Priority == 0 {
		opt.Priority = defaultPriority
	}
	c := &Console{
		sw: sw, opt: opt, log: opt.Log, tree: opt.Tree,
		started: time.Now(),
		table:   commands(),
		vlans:   newVLANBook(),
		bases:   map[int]counters{},
		seq:     sw.Info().EventSeq,
		gcint:   2,
	}
	if c.tree == nil {
		c.tree = noTree{}
	}
	c.dump.path, _ = filepath.Abs("vde_dump.cap") // of where the daemon was started
	c.ips.init(c)
	return c
}

// Close stops dumping and logging.
func (c *Console) Close() error {
	err := c.ips.close() // its goroutine may wait for mu
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.dump.stop(), err)
}

const (
	maxSessions  = 256
	writeTimeout = 10 * time.Second // for a client to take a piece of an answer
)

// Serve answers the clients of ln until ctx ends, and then closes ln and every
// session.
func (c *Console) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer c.tending.Wait()
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		ln.Close()
		close(closed)
	})
	defer func() { // its socket is gone when we are
		cancel()
		<-closed
	}()
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on console: %w", err)
		default:
			c.log.Warn("console client could not be taken", "error", err)
			if !link.Recover(ctx.Done()) {
				return nil
			}
			continue
		}
		if c.sessions.Add(1) > maxSessions {
			c.sessions.Add(-1)
			conn.Close()
			c.log.Warn("console client refused: too many", "limit", maxSessions)
			continue
		}
		c.tending.Add(1)
		go func() {
			defer c.tending.Done()
			defer c.sessions.Add(-1)
			c.serveConn(ctx, conn)
		}()
	}
}

// serveConn is one client's session.
func (c *Console) serveConn(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	s := c.newSession(&output{w: conn, deadline: conn.SetWriteDeadline})
	s.prompts = true
	s.out.printf("%s", c.banner())
	if s.out.flush() != nil {
		return
	}
	lines := make(chan line)
	go readLines(ctx, &idleReader{conn: conn, known: c.known}, lines)
	s.run(ctx, lines)
}

// ServeStdio answers commands on the daemon's own terminal, or from a program
// that started it: no banner, and the prompt only if terminal is set. It returns
// when in ends, or with ctx; what is being read then is left to the process's end.
func (c *Console) ServeStdio(ctx context.Context, in io.Reader, out io.Writer, terminal bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := c.newSession(&output{w: out})
	s.stdio, s.prompts = true, terminal
	lines := make(chan line)
	go readLines(ctx, in, lines)
	s.run(ctx, lines)
}

// banner is what a client is greeted with. Programs want the first line as it is,
// with a version behind "V.".
func (c *Console) banner() string {
	return fmt.Sprintf("VDE switch V.%s\nvswitch %s: speaks the console of vde_switch %s\n", compatible, c.opt.Version, compatible)
}

// known tells whether text is a command already.
func (c *Console) known(text string) bool {
	cmd, _ := c.match(trimLine(text))
	return cmd != nil
}

// LoadFile carries out a script as the daemon starts. What fails is logged, and
// the rest is carried out: so does the original, but for the log. The error says
// that the script could not be read.
func (c *Console) LoadFile(ctx context.Context, path string) error {
	text, err := readScript(path)
	if err != nil {
		return err
	}
	s := c.newSession(&output{w: io.Discard})
	s.stdio = true
	defer s.news.stop()
	for n, l := range scriptLines(text) {
		if isComment(l) {
			continue
		}
		if err := s.execute(ctx, l); err != nil {
			c.log.Warn("line of the start-up script failed", "file", path, "line", n+1, "command", l, "error", err)
		}
	}
	return nil
}

// Scripts lists where a start-up script is looked for when none was named, first
// hit first.
func Scripts() []string {
	list := []string{"/etc/vde2/vde_switch.rc"}
	if home, err := os.UserHomeDir(); err == nil {
		list = append([]string{filepath.Join(home, ".vde2", "vde_switch.rc")}, list...)
	}
	return list
}
