package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vnetkit/remote/shell"
)

// SSH is how to reach hosts.
type SSH struct {
	Command []string      // the program and the user's options; they win over ours
	Dir     string        // where connections wait for the next run; "": none do
	Persist time.Duration // how long they wait
	Connect time.Duration // how long connecting may take, for Terminal, which a person can end later on; 0: as long as it likes
}

const (
	// maxControl is the longest path of a control socket: 108 bytes fit into an
	// address, and ssh adds a dot and 16 characters while it makes one.
	maxControl = 100 - 17
	hashLen    = 40 // of ssh's %C
	keyLen     = 8  // of ours
)

// ControlDir makes a directory for connections that nobody but this user can
// enter: in $XDG_RUNTIME_DIR, or in /tmp.
func ControlDir(getenv func(string) string) (string, error) {
	uid := os.Geteuid()
	name := "vnetctl-ssh-" + strconv.Itoa(uid)
	var errs []error
	for _, parent := range []string{getenv("XDG_RUNTIME_DIR"), "/tmp"} {
		dir := filepath.Join(parent, name)
		if !filepath.IsAbs(parent) || len(dir)+1+keyLen+1+hashLen > maxControl || strings.ContainsAny(dir, "%\"' \t$\\") {
			continue
		}
		err := ownDir(dir, uid)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// ownDir makes dir, or checks that it is ours alone.
func ownDir(dir string, uid int) error {
	if err := os.Mkdir(dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.IsDir() || int(st.Uid) != uid || fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory of this user's alone", dir)
	}
	return nil
}

// control is the path of h's control socket. Another ssh command may mean another
// machine or another user by the same name, so it has another socket.
func (s *SSH) control() string {
	if s.Dir == "" || s.Persist <= 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(shell.Quote(s.Command)))
	return s.Dir + "/" + hex.EncodeToString(sum[:])[:keyLen] + "-%C"
}

// Line is a command that runs words on h, over a connection of its own, for who
// starts it himself.
func (s *SSH) Line(h Host, words ...string) []string {
	return append([]string{s.Command[0]}, s.args(h, true, false, words...)...)
}

// Try is a command that runs words on h for a person who wants to see what ssh
// says.
func (s *SSH) Try(h Host, words ...string) []string {
	return slices.Concat(s.Command, h.options(), []string{h.Name}, words)
}

// args are the arguments of ssh for h. ssh takes the first value it sees for an
// option, so those of s.Command come first.
func (s *SSH) args(h Host, fresh, terminal bool, words ...string) []string {
	list := append([]string{}, s.Command[1:]...)
	option := func(text string) { list = append(list, "-o", text) }
	if path := s.control(); path != "" && !fresh {
		option("ControlMaster=auto")
		option("ControlPath=" + path)
		option("ControlPersist=" + strconv.Itoa(int(s.Persist.Seconds())))
	} else {
		option("ControlMaster=no")
		option("ControlPath=none")
	}
	if terminal {
		list = append(list, "-t")
	} else {
		// Many hosts cannot ask for passwords on one terminal.
		option("BatchMode=yes")
		list = append(list, "-T")
	}
	if s.Connect > 0 {
		option("ConnectTimeout=" + strconv.Itoa(max(1, int(s.Connect.Seconds()))))
	}
	option("LogLevel=ERROR")
	option("RemoteCommand=none")
	option("ClearAllForwardings=yes") // those of the configuration are for people who log in
	option("ServerAliveInterval=15")
	option("ServerAliveCountMax=3")
	list = append(append(list, h.options()...), "--", h.Name)
	if len(words) > 0 {
		list = append(list, shell.Quote(words))
	}
	return list
}
