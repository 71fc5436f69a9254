package mgmt

import (
	"fmt"
	"net/http"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"vnetkit/mgmt/api"
)

// caller is who sits at the other end of a connection, as the kernel says.
type caller struct {
	known  bool // false: not a unix socket, so nothing else is
	pid    int
	uid    int
	gids   []int // primary and supplementary groups
	excess bool  // one connection too many
}

type callerKey struct{}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	if !c.known {
		c.uid = -1
	}
	return c
}

// isAdmin tells whether c may change things.
func (s *Server) isAdmin(c caller) bool {
	if !c.known {
		return false
	}
	return c.uid == 0 || c.uid == s.uid || s.opt.Group > 0 && slices.Contains(c.gids, s.opt.Group)
}

// mayChange says why c may not change things, if so.
func (s *Server) mayChange(c caller) error {
	if s.isAdmin(c) {
		return nil
	}
	if !c.known {
		return &api.Error{Code: api.ErrForbidden, Message: "changes are taken only from a unix socket, where the kernel says who asks", Hint: "use " + filepath.Join(s.opt.Dir, api.SocketName)}
	}
	who := s.users.name(s.uid)
	e := &api.Error{
		Code:    api.ErrForbidden,
		Message: fmt.Sprintf("user %s (uid %d) may look at this switch but not change it; %s, root", s.users.name(c.uid), c.uid, who),
	}
	if s.opt.Group > 0 {
		group := groupName(s.opt.Group)
		e.Message += fmt.Sprintf(" and members of group %s may", group)
		e.Hint = fmt.Sprintf("sudo usermod -aG %s %s, then log in again; or repeat the command with: sudo -u %s", group, s.users.name(c.uid), who)
		return e
	}
	e.Message = strings.Replace(e.Message, ", root", " and root may", 1)
	e.Hint = fmt.Sprintf("repeat the command with: sudo -u %s; or start vswitch with --mgmtgroup GROUP", who)
	return e
}

// users turns uids into names and remembers the answers.
type users struct {
	mu    sync.Mutex
	names map[int]string
}

// name is uid's name, or its number where it has none.
func (u *users) name(uid int) string {
	if uid < 0 {
		return "unknown"
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if name, ok := u.names[uid]; ok {
		return name
	}
	number := strconv.Itoa(uid)
	who, err := user.LookupId(number)
	if err != nil {
		return number // not remembered: the name may be given later
	}
	if u.names == nil || len(u.names) >= 256 {
		u.names = map[int]string{}
	}
	u.names[uid] = printable(who.Username)
	return u.names[uid]
}

func groupName(gid int) string {
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		return strconv.Itoa(gid)
	}
	return printable(g.Name)
}

// command is what process pid calls itself, or "" where that cannot be known.
func command(pid int) string {
	if pid <= 0 {
		return ""
	}
	// An os.File costs three times as much, and there may be a thousand ports.
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/comm", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer syscall.Close(fd)
	var b [64]byte
	n, _ := syscall.Read(fd, b[:])
	return printable(strings.TrimSuffix(string(b[:max(n, 0)]), "\n"))
}

// printable replaces what could play tricks on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
