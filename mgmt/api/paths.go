package api

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Names in a switch's directory, and the name a switch has if nobody gave it one.
const (
	DefaultName  = "default"
	SocketName   = "api"    // HTTP and JSON: this package
	VDEName      = "ctl"    // VDE clients: libvdeplug, QEMU -netdev vde; each gets the port it asks for
	VhostName    = "vhost"  // QEMU -netdev vhost-user: each connection is a port
	StreamName   = "stream" // QEMU -netdev stream: each connection is a port
	longestDoor  = "stream"
	maxName      = 64  // bytes
	MaxUnixPath  = 107 // bytes in a unix socket's path: 108 with its NUL on Linux
	systemParent = "/run/vswitch"
	tempDir      = "/tmp" // not $TMPDIR: all of a user's programs must look in one place
)

// Parents lists the directories that hold this user's switches and the
// system's, most likely first. They need not exist.
func Parents() []string {
	return parents(os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"))
}

func parents(uid int, runtimeDir string) []string {
	if uid == 0 {
		return []string{systemParent}
	}
	list := make([]string, 0, 3)
	// After su the variable still names the former user's directory.
	if fi, err := os.Stat(runtimeDir); err == nil && filepath.IsAbs(runtimeDir) {
		if of, ok := owner(fi); !ok || of == uid {
			list = append(list, filepath.Join(runtimeDir, "vswitch"))
		}
	}
	return append(list, filepath.Join(tempDir, "vswitch-"+strconv.Itoa(uid)), systemParent)
}

// DefaultDir is the directory that a switch called name has unless it is told
// otherwise: /run/vswitch/NAME for root, $XDG_RUNTIME_DIR/vswitch/NAME for
// anyone else, /tmp/vswitch-UID/NAME where that variable does not name a
// directory of this user's. The empty name is DefaultName. The directory need
// not exist; ResolveDir checks the name and the place.
func DefaultDir(name string) string {
	if name == "" {
		name = DefaultName
	}
	return filepath.Join(Parents()[0], name)
}

// ResolveDir turns what a user wrote behind -s into an absolute directory, for
// a switch that is going to be made there. Anything with a slash in it and any
// existing directory is meant literally; the rest is a NAME (see DefaultDir).
//
// It fails, with a *Error that says the cure, when a name has characters that
// do not belong into a path, when the path is too long to hold a socket, and
// when the place under /tmp belongs to another user.
func ResolveDir(s string) (string, error) {
	if isDir(s) {
		return absDir(s)
	}
	return NamedDir(s)
}

// NamedDir is ResolveDir for what can only be a NAME.
func NamedDir(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	dir := DefaultDir(name)
	if err := checkParent(filepath.Dir(dir)); err != nil {
		return "", err
	}
	return dir, CheckDir(dir)
}

// FindDir is ResolveDir for a switch that should be there already: a NAME is
// looked for in every one of Parents, and where none has it the answer is
// ResolveDir's.
func FindDir(s string) (string, error) {
	if isDir(s) {
		return absDir(s)
	}
	if err := checkName(s); err != nil {
		return "", err
	}
	name := s
	if name == "" {
		name = DefaultName
	}
	for _, parent := range Parents() {
		dir := filepath.Join(parent, name)
		if _, err := os.Lstat(dir); err != nil {
			continue
		}
		if err := checkParent(parent); err != nil {
			return "", err
		}
		return dir, CheckDir(dir)
	}
	return ResolveDir(s)
}

// CheckDir tells whether the path of every door in dir fits into a unix
// socket's address.
func CheckDir(dir string) error {
	return CheckSocketPath(filepath.Join(dir, longestDoor))
}

// CheckSocketPath tells whether path fits into a unix socket's address.
func CheckSocketPath(path string) error {
	if len(path) <= MaxUnixPath {
		return nil
	}
	return &Error{
		Code:    ErrInvalid,
		Message: fmt.Sprintf("socket path %s has %d bytes and the kernel takes at most %d", path, len(path), MaxUnixPath),
		Hint:    "choose a shorter directory with -s DIR, for example -s " + filepath.Join(tempDir, "sw1"),
	}
}

// isDir tells whether s is meant as a directory rather than as a name.
func isDir(s string) bool {
	if strings.ContainsRune(s, '/') {
		return true
	}
	fi, err := os.Stat(s)
	return s != "" && err == nil && fi.IsDir()
}

func absDir(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", &Error{Code: ErrInvalid, Message: fmt.Sprintf("directory %q has a NUL byte in it", s)}
	}
	dir, err := filepath.Abs(s)
	if err != nil {
		return "", fmt.Errorf("resolve directory %q: %w", s, err)
	}
	return dir, CheckDir(dir)
}

func checkName(name string) error {
	bad := func(why string) error {
		return &Error{
			Code:    ErrInvalid,
			Message: fmt.Sprintf("switch name %q: %s", name, why),
			Hint:    "use letters, digits and _ . @ -, or give a directory with a slash in it, for example -s ./" + DefaultName,
		}
	}
	if len(name) > maxName {
		return bad(fmt.Sprintf("%d bytes are too many, at most %d", len(name), maxName))
	}
	if name != "" && (name[0] == '-' || name[0] == '.') {
		return bad("must not start with " + name[:1])
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-", r) {
			return bad(fmt.Sprintf("%q is not allowed in a name", r))
		}
	}
	return nil
}

// checkParent refuses a directory in a place where everybody may write that
// somebody else made: its sockets could be anybody's.
func checkParent(parent string) error {
	if filepath.Dir(parent) != tempDir {
		return nil
	}
	fi, err := os.Lstat(parent)
	if err != nil {
		return nil // not there yet: whoever makes it will own it
	}
	uid, ok := owner(fi)
	if fi.IsDir() && (!ok || uid == os.Geteuid() || uid == 0) && fi.Mode()&0o022 == 0 {
		return nil
	}
	return &Error{
		Code:    ErrForbidden,
		Message: fmt.Sprintf("%s is not a directory that only you (uid %d) can write to: it is uid %d's, mode %v", parent, os.Geteuid(), uid, fi.Mode()),
		Hint:    "name another directory with -s DIR, or set XDG_RUNTIME_DIR",
	}
}
