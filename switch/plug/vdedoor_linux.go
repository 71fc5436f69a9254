package plug

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// vdeDoor lets VDE clients in.
//
// Each connection is met in a goroutine of its own, which reads the request,
// connects to the client's socket and hands a Link to Accept. Nobody waits for
// a client that says nothing: it has vdePatience, and when too many of one user
// are that slow the oldest goes first.
type vdeDoor struct {
	spec    vdeSpec
	ln      net.Listener
	refused func(error)
	links   chan link.Link
	done    chan struct{} // closed by Close
	meeting sync.WaitGroup
	waiting waitingRoom
}

// listenVDE opens a door.
func listenVDE(ctx context.Context, spec vdeSpec, opt link.Options) (link.Source, error) {
	// Clients are told paths in this directory, whatever theirs is.
	dir, err := filepath.EvalSymlinks(spec.dir)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			at.Path = spec.dir // it names the first part of it that is missing
		}
		return nil, fmt.Errorf("open VDE door: %w", err)
	}
	spec.dir = dir
	if err := checkVDEDir(dir); err != nil {
		return nil, err
	}
	if spec.portGroup == "" {
		removeStalePorts(ctx, dir)
	}
	ln, err := ListenUnix(ctx, spec.door(), spec.mode)
	if err != nil {
		return nil, err
	}
	if spec.gid >= 0 {
		if err := os.Lchown(spec.door(), -1, spec.gid); err != nil {
			return nil, errors.Join(fmt.Errorf("give %s to group %d: %w", spec.door(), spec.gid, err), ln.Close())
		}
	}
	d := &vdeDoor{
		spec: spec, ln: ln, refused: opt.Refused,
		links: make(chan link.Link), done: make(chan struct{}),
	}
	d.meeting.Add(1)
	go d.serve()
	return d, nil
}

// removeStalePorts removes sockets of ports that a switch left behind when it
// was killed: they have its names and nobody serves them.
func removeStalePorts(ctx context.Context, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Type() != os.ModeSocket || !isVDESocketName(e.Name()) {
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, "unixgram", path)
		if err == nil {
			_ = conn.Close()
		} else if errors.Is(err, unix.ECONNREFUSED) {
			_ = os.Remove(path)
		}
	}
}

// serve meets clients until the door is closed.
func (d *vdeDoor) serve() {
	defer d.meeting.Done()
	for {
		conn, err := d.ln.Accept()
		switch {
		case err == nil:
			seat, full := d.waiting.enter(conn, peerOf(conn))
			if full {
				continue
			}
			d.meeting.Add(1)
			go func() {
				defer d.meeting.Done()
				defer d.waiting.leave(seat)
				d.meet(seat)
			}()
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if !link.Recover(d.done) {
				return
			}
		}
	}
}

// meet turns a connection into a Link, or closes it at once and says why.
func (d *vdeDoor) meet(g *guest) {
	defer g.conn.Close()
	l, err := d.handshake(g)
	if err != nil {
		if d.refused != nil && !errors.Is(err, errJustLooking) {
			d.refused(fmt.Errorf("client at %s (%s): %w", d.spec.door(), who(g.peer), err))
		}
		return
	}
	select {
	case d.links <- l:
	case <-d.done:
		_ = l.Close()
	}
}

func who(p link.Peer) string { return fmt.Sprintf("pid %d, uid %d", p.PID, p.UID) }

// Accept implements link.Source.
func (d *vdeDoor) Accept(ctx context.Context) (link.Link, error) {
	select {
	case l := <-d.links:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.done:
		return nil, fmt.Errorf("accept on %s: %w", d.spec.door(), net.ErrClosed)
	}
}

// Listening implements link.Source.
func (d *vdeDoor) Listening() bool { return true }

// FrontDoor implements link.FrontDoor: who comes in by a port group's door has
// no business elsewhere.
func (d *vdeDoor) FrontDoor() bool { return d.spec.portGroup == "" }

// String implements link.Source.
func (d *vdeDoor) String() string {
	text := "vde:" + d.spec.dir + ",listen=on"
	if d.spec.portGroup != "" {
		text += ",portgroup=" + d.spec.portGroup
	}
	return text
}

// Close implements link.Source.
func (d *vdeDoor) Close() error {
	close(d.done)
	err := d.ln.Close()
	d.waiting.clear()
	d.meeting.Wait()
	return err
}
