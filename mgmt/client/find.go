package client

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vnetkit/mgmt/api"
)

// findTimeout is how long one switch may take to say that it is one.
const findTimeout = time.Second

// Found is a switch of this host, or something that looks like one.
type Found struct {
	Dir  string
	Info api.Info // what it says, if Err is nil
	Err  error    // why it could not be asked
}

// Find lists the switches of this host by directory: those in the usual
// places and all others whose api socket the kernel shows. Each is asked; one
// that does not answer is listed with the reason. What turns out to be
// something else is left out.
func Find(ctx context.Context) []Found {
	return find(ctx, api.Parents(), "/proc/net/unix")
}

func find(ctx context.Context, parents []string, procNetUnix string) []Found {
	dirs := usualDirs(parents)
	usual := len(dirs)
	dirs = append(dirs, listeningDirs(procNetUnix)...)
	var (
		list  []Found
		seen  = map[string]bool{}
		mu    sync.Mutex // guards list
		wait  sync.WaitGroup
		slots = make(chan struct{}, 16)
	)
	for i, dir := range dirs {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			real = dir
		}
		if seen[real] {
			continue
		}
		seen[real] = true
		wait.Add(1)
		go func() {
			defer wait.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			f := ask(ctx, dir)
			if i >= usual && f.Err != nil && !looksLikeSwitch(f) {
				return
			}
			mu.Lock()
			list = append(list, f)
			mu.Unlock()
		}()
	}
	wait.Wait()
	slices.SortFunc(list, func(a, b Found) int { return cmp.Compare(a.Dir, b.Dir) })
	return list
}

// looksLikeSwitch judges what did not answer as a switch does: any program may
// have a socket called api.
func looksLikeSwitch(f Found) bool {
	switch {
	case errors.Is(f.Err, api.ErrBadAnswer):
		return false
	case errors.Is(f.Err, api.ErrUnreachable): // a hanging one still has its doors
		fi, err := os.Stat(filepath.Join(f.Dir, api.StreamName))
		return err == nil && fi.Mode()&os.ModeSocket != 0
	}
	return true
}

func ask(ctx context.Context, dir string) Found {
	c, err := Dial(filepath.Join(dir, api.SocketName))
	if err != nil {
		return Found{Dir: dir, Err: err}
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	info, err := c.Info(ctx)
	return Found{Dir: dir, Info: info, Err: err}
}

// usualDirs are the directories in parents that have an api socket, or that we
// may not look into.
func usualDirs(parents []string) []string {
	var dirs []string
	for _, parent := range parents {
		entries, err := os.ReadDir(parent)
		if err != nil {
			continue
		}
		for _, e := range entries {
			dir := filepath.Join(parent, e.Name())
			if _, err := os.Stat(filepath.Join(dir, api.SocketName)); err == nil || errors.Is(err, os.ErrPermission) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// listeningDirs are the directories of listening sockets called api. Lines are
//
//	Num RefCount Protocol Flags Type St Inode Path
//
// where flag 0x10000 means listening and type 1 a stream.
func listeningDirs(procNetUnix string) []string {
	text, err := os.ReadFile(procNetUnix)
	if err != nil {
		return nil // not Linux
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 7)
		if len(f) != 7 || f[3] != "00010000" || f[4] != "0001" {
			continue
		}
		_, path, _ := strings.Cut(strings.TrimSpace(f[6]), " ")
		if strings.HasPrefix(path, "/") && filepath.Base(path) == api.SocketName {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	return dirs
}
