package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/switch/plug"
)

// mustAnswer fails if the switch in dir, whose process is there, answers nobody.
func (r *hostRun) mustAnswer(dir string) error {
	c, err := client.Dial(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = r.timeout
	_, err = c.Info(r.cmd.Context())
	if !errors.Is(err, api.ErrUnreachable) {
		return err
	}
	pid, known := plug.Holder(c.Socket())
	if !known {
		return err
	}
	text := fmt.Sprintf("switch %s is there and does not answer: process %d", dir, pid)
	if up, err := os.Stat(filepath.Join(dir, api.SocketName)); err == nil {
		text += ", up since " + up.ModTime().Format(time.DateTime)
	}
	if stopped(pid) {
		return &api.Error{Code: api.ErrUnreachable, Message: text + ", is stopped", Hint: fmt.Sprintf("kill -CONT %d", pid)}
	}
	return &api.Error{Code: api.ErrUnreachable, Message: text + ", hangs", Hint: fmt.Sprintf("kill -KILL %d, then repeat this", pid)}
}

var stoppedState = regexp.MustCompile(`(?m)^State:\s+[Tt] `)

// stopped tells whether a signal or a debugger has stopped a process.
func stopped(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && stoppedState.Match(status)
}
