package console

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// The forwarding table has room for a fixed number of addresses, forgets each in
// the second it is too old and believes at once that one has moved. So size and
// intervals are what the original calls them and nothing to tune.

const day = 24 * 60 * 60

func (c *call) hashInfo() error {
	in := c.sw.Info()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printf("Hash size %d\nGC interval %d secs\nGC expire %d secs\nMin persistence %d secs\n", in.FDBCap, c.gcint, int(in.Ageing/time.Second), 0)
	return nil
}

// hashSetSize forgets all addresses, which is what is left of a resize.
func (c *call) hashSetSize() error {
	if _, err := number(c.word(), 1, 1<<30); err != nil {
		return err
	}
	_, err := c.sw.FlushFDB(vswitch.FDBFilter{})
	return err
}

func (c *call) hashSetGC() error {
	n, err := number(c.word(), 0, day)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gcint = n
	return nil
}

func (c *call) hashSetExpire() error {
	n, err := number(c.word(), int(vswitch.MinAgeing/time.Second), int(vswitch.MaxAgeing/time.Second))
	if err != nil {
		return err
	}
	ageing := time.Duration(n) * time.Second
	return c.sw.Set(vswitch.Change{Ageing: &ageing})
}

// hashSetMinPer takes 0, which is how it is.
func (c *call) hashSetMinPer() error {
	n, err := number(c.word(), 0, day)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: an address that has moved is believed at once", syscall.ENOSYS)
	}
	return err
}

func (c *call) hashPrint() error {
	entries, err := c.sw.FDB(vswitch.FDBFilter{})
	for i := range entries {
		c.printEntry(i, &entries[i])
		c.out.relieve()
	}
	return err
}

func (c *call) printEntry(i int, e *vswitch.FDBEntry) {
	c.mu.Lock()
	vlan := c.vlans.shown(e.VID)
	c.mu.Unlock()
	c.printf("Hash: %04d Addr: %v VLAN %04d to port: %03d  age %d secs\n", i, e.MAC, vlan, e.Port, int(e.Age/time.Second))
}

func (c *call) hashFind() error {
	w := strings.Fields(c.arg)
	if len(w) == 0 {
		return errMissing
	}
	mac, err := parseMAC(w[0])
	if err != nil {
		return err
	}
	vlan := 0
	if len(w) > 1 {
		if vlan, err = number(w[1], 0, int(frame.MaxVID)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	vid := c.vlans.vid(vlan)
	c.mu.Unlock()
	entries, err := c.sw.FDB(vswitch.FDBFilter{VID: vid, MAC: &mac})
	if err == nil && len(entries) == 0 {
		err = syscall.ENODEV
	}
	for i := range entries {
		c.printEntry(i, &entries[i])
	}
	return err
}

// ParseMAC reads an address as vde_switch does: six hexadecimal numbers between
// colons or dots.
func ParseMAC(text string) (frame.MAC, error) { return parseMAC(text) }

func parseMAC(text string) (m frame.MAC, err error) {
	parts := strings.Split(strings.ReplaceAll(text, ".", ":"), ":")
	bad := fmt.Errorf("%w: MAC address %.40q: want six hexadecimal numbers between colons", syscall.EINVAL, text)
	if len(parts) != len(m) || strings.Contains(text, ".") && strings.Contains(text, ":") {
		return m, bad
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 16, 8)
		if err != nil || len(p) > 2 {
			return frame.MAC{}, bad
		}
		m[i] = byte(n)
	}
	return m, nil
}
