package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"vnetkit/mgmt/api"
)

// explainPath says what is wrong with a socket's path that cannot be seen.
func explainPath(socket string, err error) error {
	dir := filepath.Dir(socket)
	e := &api.Error{Code: api.ErrUnreachable, Hint: "start a switch there: " + startCommand(dir) + "; or see which ones run: vnetctl list"}
	_, dirErr := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return notPermitted(socket)
	case errors.Is(dirErr, fs.ErrNotExist):
		e.Message = "there is no directory " + dir + ", so no switch runs there"
	case errors.Is(err, fs.ErrNotExist):
		e.Message = "directory " + dir + " has no socket " + api.SocketName + " in it, so no switch runs there"
	default:
		e.Message = fmt.Sprintf("look at %s: %v", socket, root(err))
	}
	return e
}

// explain says why a request got no answer.
func (c *Client) explain(ctx context.Context, err error) error {
	var e *api.Error
	restart := "start it again: " + startCommand(c.Dir()) + " (it clears up what is left)"
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, syscall.ECONNREFUSED):
		return &api.Error{Code: api.ErrUnreachable, Message: "nobody listens on " + c.socket + ": its switch was killed and left the socket behind", Hint: restart}
	case errors.Is(err, fs.ErrPermission):
		return notPermitted(c.socket)
	case errors.Is(err, fs.ErrNotExist):
		return explainPath(c.socket, err)
	case c.queueFull.Load():
		return &api.Error{Code: api.ErrBusy, Message: "too many callers wait for " + c.socket, Hint: "try again; see who they are with: ss -xp | grep " + c.socket}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &api.Error{Code: api.ErrUnreachable, Message: "the switch at " + c.socket + " took the call and did not answer in time: its process hangs or is stopped", Hint: "look at it: ps -o pid,stat,wchan:20,args -C vswitch"}
	}
	var op interface{ Timeout() bool }
	if errors.As(err, &op) && op.Timeout() {
		return c.explain(ctx, context.DeadlineExceeded)
	}
	return &api.Error{Code: api.ErrUnreachable, Message: fmt.Sprintf("the switch at %s closed the connection: it was stopped, or has too many callers (%v)", c.socket, root(err)), Hint: "see whether it still runs: vnetctl list"}
}

// root is the innermost error, which alone says something new here.
func root(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func (c *Client) badAnswer(what string) error {
	return &api.Error{Code: api.ErrBadAnswer, Message: c.socket + ": " + what, Hint: "compare versions: vswitch --version and vnetctl --version; or give another directory with -s DIR"}
}

// notPermitted names who may open socket, as far as can be seen.
func notPermitted(socket string) error {
	me := "uid " + strconv.Itoa(os.Geteuid())
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	e := &api.Error{Code: api.ErrForbidden, Message: fmt.Sprintf("user %s may not open %s", me, socket), Hint: "repeat the command with: sudo"}
	// The first thing on the way that shuts us out says who is let in.
	for path := filepath.Dir(socket); ; path = filepath.Dir(path) {
		if fi, err := os.Stat(path); err == nil {
			shut := socket
			if sfi, err := os.Stat(socket); err == nil {
				fi = sfi
			} else {
				shut = path
			}
			name, group := ownerNames(fi)
			e.Message += fmt.Sprintf(": %s belongs to %s:%s and has mode %04o", shut, name, group, fi.Mode().Perm())
			if group != "" && group != "root" && fi.Mode().Perm()&0o070 != 0 {
				e.Hint = fmt.Sprintf("join the group, then log in again: sudo usermod -aG %s %s; or repeat the command with: sudo", group, me)
			}
			return e
		}
		if path == filepath.Dir(path) {
			return e
		}
	}
}

// startCommand is how to start a switch in dir.
func startCommand(dir string) string {
	if dir == api.DefaultDir("") {
		return "vswitch"
	}
	return "vswitch -s " + dir
}
