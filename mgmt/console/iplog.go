package console

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// ipLog knows who uses which IP address, as frames that come in tell. While no
// range is set it looks at nothing and costs nothing. While there is one, the data
// path looks at the addresses in each frame that comes in and shows each pair of
// MAC and IP address at most once a second; all else happens here.
type ipLog struct {
	c *Console

	seen  [4096]atomic.Uint64 // hashes of what was shown in this second
	epoch atomic.Uint64       // the second

	mu     sync.Mutex // guards what follows
	ranges []netip.Prefix
	users  map[netip.Addr]*ipUser
	expire time.Duration
	gcint  int    // seconds: shown only
	path   string // of the log file; "": none
	file   *os.File
	recent []string // latest news, for sessions
	count  uint64   // news that there ever were
	tap    *vswitch.Capture
	ended  chan struct{} // closed when nobody reads tap any more
}

// ipUser is who uses an address.
type ipUser struct {
	port int
	vlan int
	mac  frame.MAC
	user string
	text string // description of the client
	last time.Time
}

const (
	maxIPUsers = 1 << 16 // addresses that are remembered
	maxRecent  = 1024    // news that sessions may fall behind
	ipSnap     = 128     // bytes of a frame that tell enough
)

func (l *ipLog) init(c *Console) {
	l.c, l.users, l.expire, l.gcint = c, map[netip.Addr]*ipUser{}, 360*time.Second, 10
}

// listen begins or ends to look at frames, as ranges want it. Called with mu held.
func (l *ipLog) listen() error {
	switch {
	case len(l.ranges) > 0 && l.tap == nil:
		tap, err := l.c.sw.Capture(vswitch.CaptureOptions{Match: l.match, InOnly: true, Snap: ipSnap})
		if err != nil {
			return err
		}
		l.tap, l.ended = tap, make(chan struct{})
		go l.run(tap, l.ended)
	case len(l.ranges) == 0 && l.tap != nil:
		l.stop()
	}
	return nil
}

// stop is called with mu held, which it gives up for a moment.
func (l *ipLog) stop() {
	if l.tap == nil {
		return
	}
	_ = l.tap.Close() // it always succeeds
	ended := l.ended
	l.tap, l.ended = nil, nil
	l.mu.Unlock()
	<-ended
	l.mu.Lock()
}

func (l *ipLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	if l.file != nil {
		return l.file.Close()
	}
	return nil
}

// match runs in the data path, one frame at a time: does f say an address that was
// not shown in this second?
func (l *ipLog) match(f frame.Frame) bool {
	key, ok := ipKey(f)
	if !ok {
		return false
	}
	key ^= l.epoch.Load() * 0x9e3779b97f4a7c15
	slot := &l.seen[key>>52]
	if slot.Load() == key {
		return false
	}
	slot.Store(key)
	return true
}

// run notes what frames tell until the capture ends.
func (l *ipLog) run(tap *vswitch.Capture, ended chan<- struct{}) {
	defer close(ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-tick.C:
				l.epoch.Add(1)
			case <-stop:
				return
			}
		}
	}()
	for {
		frames, _, err := tap.Read(context.Background())
		if err != nil {
			return
		}
		for i := range frames {
			f := &frames[i]
			// A frame that found no receiver tells as much as one that did.
			heard := !f.Dropped || f.Reason >= vswitch.DropSamePort
			if a, ok := readIP(frame.Frame(f.Data)); ok && heard {
				l.note(f.Port, f.Data, a, f.Time)
			}
		}
	}
}

// note remembers that the station which sent data uses address a.
func (l *ipLog) note(port int, data []byte, a netip.Addr, at time.Time) {
	f := frame.Frame(data)
	p, err := l.c.sw.Port(strconv.Itoa(port))
	if err != nil {
		return
	}
	vid := p.Config.PVID
	if tci, ok := f.Tag(); ok && tci&0x0fff != 0 && !p.Config.Transparent {
		vid = frame.VID(tci & 0x0fff)
	}
	l.c.mu.Lock()
	vlan := l.c.vlans.shown(vid)
	descr := ""
	for _, ep := range l.c.endpoints(&p) {
		descr = ep.descr
	}
	l.c.mu.Unlock()
	u := &ipUser{port: port, vlan: vlan, mac: f.Src(), user: anyone, text: descr, last: at}
	if p.Peer.UID >= 0 {
		u.user = nameOf(p.Peer.UID)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.ranges, func(r netip.Prefix) bool { return r.Contains(a) }) {
		return
	}
	old := l.users[a]
	if old != nil && old.port == u.port && old.mac == u.mac && old.vlan == u.vlan && at.Sub(old.last) < l.expire {
		old.last = at
		return
	}
	if old == nil && len(l.users) >= maxIPUsers {
		l.forget(at)
		if len(l.users) >= maxIPUsers {
			return
		}
	}
	l.users[a] = u
	l.tell(fmt.Sprintf("%s mac=%v port=%d vlan=%d user=%s \"%s\"", familyOf(a), u.mac, u.port, u.vlan, u.user, printable(u.text)), a, at)
}

// tell is called with mu held.
func (l *ipLog) tell(text string, a netip.Addr, at time.Time) {
	family, rest, _ := strings.Cut(text, " ")
	text = fmt.Sprintf("%s %v %s", family, a, rest)
	l.count++
	l.recent = append(l.recent, text)
	if len(l.recent) > maxRecent {
		l.recent = slices.Delete(l.recent, 0, len(l.recent)-maxRecent)
	}
	if l.file != nil {
		if _, err := fmt.Fprintf(l.file, "%s %s\n", at.Format("Jan 02 15:04:05"), text); err != nil {
			l.c.log.Warn("write log of IP addresses", "file", l.path, "error", err)
			_ = l.file.Close() // nothing more goes there
			l.path, l.file = "", nil
		}
	}
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// forget drops what was not seen for long. Called with mu held.
func (l *ipLog) forget(now time.Time) {
	for a, u := range l.users {
		if now.Sub(u.last) >= l.expire {
			delete(l.users, a)
		}
	}
}

// last is the number of the latest news.
func (l *ipLog) last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// since lists the news after number *seq, and sets it to the latest.
func (l *ipLog) since(seq *uint64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(l.count-*seq, uint64(len(l.recent)))
	*seq = l.count
	return slices.Clone(l.recent[uint64(len(l.recent))-n:])
}

// list returns the addresses in use, in order, and who uses them.
func (l *ipLog) list() (all []netip.Addr, users []ipUser) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	for a := range l.users {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	for _, a := range all {
		users = append(users, *l.users[a])
	}
	return all, users
}

func (l *ipLog) setFile(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var file *os.File
	if path != "" {
		var err error
		if file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600); err != nil {
			return err
		}
	}
	if l.file != nil {
		_ = l.file.Close() // what was written is written
	}
	l.path, l.file = path, file
	return nil
}
