package console

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func (c *call) iplogInfo() error {
	l := &c.ips
	l.mu.Lock()
	defer l.mu.Unlock()
	c.printf("iplog: ip/port/user logging plugin\n")
	if l.file == nil {
		c.printf("log disabled\n")
	} else {
		c.printf("log on file %s\n", printable(l.path))
	}
	c.printf("GC interval %d secs\nGC expire %d secs\n", l.gcint, int(l.expire/time.Second))
	return nil
}

// iplogFile sets the file that news are appended to; none without an argument.
func (c *call) iplogFile() error {
	if c.arg == "-" { // the system's log, in the original
		return fmt.Errorf("%w: news go to a file", syscall.ENOSYS)
	}
	path := ""
	if c.arg != "" {
		var err error
		if path, err = filepath.Abs(c.arg); err != nil {
			return err
		}
	}
	return c.ips.setFile(path)
}

// parseRange reads ADDRESS/BITS, or ADDRESS for it alone.
func parseRange(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, e := netip.ParseAddr(text)
		if e != nil || a.Zone() != "" {
			return p, fmt.Errorf("%w: %w", syscall.EINVAL, err)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return p.Masked(), nil
}

const maxRanges = 256

func (c *call) iplogAdd() error {
	r, err := parseRange(c.word())
	if err != nil {
		return err
	}
	l := &c.ips
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case slices.Contains(l.ranges, r):
		return syscall.EEXIST
	case len(l.ranges) >= maxRanges:
		return syscall.ENOSPC
	}
	l.ranges = append(l.ranges, r)
	return l.listen()
}

func (c *call) iplogDel() error {
	r, err := parseRange(c.word())
	if err != nil {
		return err
	}
	l := &c.ips
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.ranges, r)
	if i < 0 {
		return syscall.ENOENT
	}
	l.ranges = slices.Delete(l.ranges, i, i+1)
	return l.listen()
}

func (c *call) iplogRanges() error {
	l := &c.ips
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.ranges {
		c.printf("  %s: %v\n", familyOf(r.Addr()), r)
	}
	return nil
}

func (c *call) iplogSetGC() error {
	n, err := number(c.word(), 0, day)
	if err != nil {
		return err
	}
	c.ips.mu.Lock()
	defer c.ips.mu.Unlock()
	c.ips.gcint = n
	return nil
}

func (c *call) iplogSetExpire() error {
	n, err := number(c.word(), 1, 365*day)
	if err != nil {
		return err
	}
	c.ips.mu.Lock()
	defer c.ips.mu.Unlock()
	c.ips.expire = time.Duration(n) * time.Second
	return nil
}

// listIPs prints the addresses that want selects.
func (c *call) listIPs(want func(netip.Addr, *ipUser) bool) error {
	all, users := c.ips.list()
	for i, a := range all {
		if u := &users[i]; want(a, u) {
			c.printf("%s %v port=%d user=%s\n", familyOf(a), a, u.port, u.user)
		}
		c.out.relieve()
	}
	return nil
}

func (c *call) iplogList() error {
	return c.listIPs(func(netip.Addr, *ipUser) bool { return true })
}

func (c *call) iplogPort() error {
	n, err := c.portNumber(c.word())
	if err != nil {
		return err
	}
	return c.listIPs(func(_ netip.Addr, u *ipUser) bool { return u.port == n })
}

func (c *call) iplogUser() error {
	if c.arg == "" {
		return errMissing
	}
	return c.listIPs(func(_ netip.Addr, u *ipUser) bool { return u.user == c.word() })
}

func (c *call) iplogSearch() error {
	want, err := netip.ParseAddr(c.word())
	if err != nil {
		return fmt.Errorf("%w: %w", syscall.EINVAL, err)
	}
	return c.listIPs(func(a netip.Addr, _ *ipUser) bool { return a == want })
}
