package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// category is something that debug/add has a session told about.
type category struct {
	path string
	tag  int // three octal digits in a line of news, behind a 3
	help string
}

// Tags of categories.
const (
	tagHashAdd    = 0o011
	tagHashDel    = 0o012
	tagPortAdd    = 0o021
	tagPortDel    = 0o022
	tagPortDescr  = 0o023
	tagEndAdd     = 0o031
	tagEndDel     = 0o032
	tagFSTPAdd    = 0o041
	tagFSTPDel    = 0o042
	tagFSTPStatus = 0o044
	tagFSTPRoot   = 0o045
	tagNewIP      = 0o301
)

// categories lists them all as debug/list does.
var categories = []category{
	{"hash/+", tagHashAdd, "hash: new element"},
	{"hash/-", tagHashDel, "hash: discarded element"},
	{"fstp/status", tagFSTPStatus, "fstp: status change"},
	{"fstp/root", tagFSTPRoot, "fstp: rootswitch/port change"},
	{"fstp/+", tagFSTPAdd, "fstp: port becomes active"},
	{"fstp/-", tagFSTPDel, "fstp: port becomes inactive"},
	{"port/+", tagPortAdd, "new port"},
	{"port/-", tagPortDel, "closed port"},
	{"port/descr", tagPortDescr, "set port description"},
	{"port/ep/+", tagEndAdd, "new endpoint"},
	{"port/ep/-", tagEndDel, "closed endpoint"},
	{"iplog/newip", tagNewIP, "show new ip addresses"},
}

// hashEvery is how often the forwarding table is looked at while somebody wants
// to hear of it: learning makes no events, for the sake of speed.
const hashEvery = 250 * time.Millisecond

// news is what a session is told between its answers.
type news struct {
	c        *Console
	on       []int           // tags
	happened <-chan struct{} // there may be events; nil: nobody asked
	tick     <-chan time.Time
	seq      uint64 // events up to this one were told
	ips      uint64 // addresses up to this one were told
	hash     map[hashKey]int
	trees    map[frame.VID]Branch // as they were told
	ends     map[int][]endpoint   // of each port, when it was last told of
	left     map[int]bool         // ports whose last client has left, which was told
	ticker   *time.Ticker
	cancel   context.CancelFunc
}

type hashKey struct {
	vid frame.VID
	mac frame.MAC
}

func newNews(c *Console) *news { return &news{c: c} }

func (n *news) wants(tags ...int) bool {
	return slices.ContainsFunc(tags, func(t int) bool { return slices.Contains(n.on, t) })
}

// set turns the categories whose path begins with prefix on or off, and returns
// how many there are and how many of them that changed.
func (n *news) set(prefix string, on bool) (found, changed int) {
	for _, cat := range categories {
		if !strings.HasPrefix(cat.path, prefix) {
			continue
		}
		found++
		if n.wants(cat.tag) == on {
			continue
		}
		changed++
		if on {
			n.on = append(n.on, cat.tag)
		} else {
			n.on = slices.DeleteFunc(n.on, func(t int) bool { return t == cat.tag })
		}
	}
	n.listen()
	return found, changed
}

// listen begins or ends what the categories need.
func (n *news) listen() {
	if len(n.on) > 0 && n.cancel == nil {
		n.seq, n.ips = n.c.sw.Info().EventSeq, n.c.ips.last()
		ctx, cancel := context.WithCancel(context.Background())
		happened := make(chan struct{}, 1)
		n.cancel, n.happened = cancel, happened
		n.ends, n.left = map[int][]endpoint{}, map[int]bool{}
		n.trees = n.c.tree.Branches()
		for _, p := range n.c.sw.Ports() {
			n.ends[p.Config.ID] = n.c.endpoints(&p)
		}
		n.c.tending.Add(1)
		go n.pump(ctx, n.seq, happened)
	}
	if hash := n.wants(tagHashAdd, tagHashDel); hash != (n.hash != nil) {
		n.hash = nil
		if hash {
			n.hash = n.snapshot()
		}
	}
	if n.ticker == nil && n.wants(tagHashAdd, tagHashDel, tagNewIP) {
		n.ticker = time.NewTicker(hashEvery)
		n.tick = n.ticker.C
	}
	if len(n.on) == 0 {
		n.stop()
	}
}

func (n *news) stop() {
	if n.cancel != nil {
		n.cancel()
	}
	if n.ticker != nil {
		n.ticker.Stop()
	}
	n.cancel, n.happened, n.ticker, n.tick = nil, nil, nil, nil
}

// pump says when there are events.
func (n *news) pump(ctx context.Context, seq uint64, happened chan<- struct{}) {
	defer n.c.tending.Done()
	for {
		events, err := n.c.sw.Events(ctx, seq)
		switch {
		case errors.Is(err, vswitch.ErrMissed):
			seq = n.c.sw.Info().EventSeq
		case err != nil:
			return
		default:
			seq = events[len(events)-1].Seq
		}
		select {
		case happened <- struct{}{}:
		default: // it was said already
		}
	}
}

// tell writes the news since the last time.
func (n *news) tell(out *output) {
	if n.cancel == nil {
		return
	}
	events, err := n.c.sw.Events(ended, n.seq)
	switch {
	case errors.Is(err, vswitch.ErrMissed):
		n.seq = n.c.sw.Info().EventSeq
	case err == nil:
		n.seq = events[len(events)-1].Seq
	}
	for i := range events {
		n.event(out, &events[i])
	}
	n.hashNews(out)
	n.ipNews(out)
}

// tellBefore writes the news before what was written to out since it held began
// bytes.
func (n *news) tellBefore(out *output, began int) {
	if n.cancel == nil {
		return
	}
	late := output{}
	n.tell(&late)
	if len(late.buf) > 0 {
		out.buf = slices.Insert(out.buf, began, late.buf...)
	}
}

func (n *news) line(out *output, tag int, format string, args ...any) {
	if n.wants(tag) {
		i := slices.IndexFunc(categories, func(c category) bool { return c.tag == tag })
		out.printf("3%03o %s %s\n", tag, categories[i].path, fmt.Sprintf(format, args...))
	}
}

// event tells an event of the switch.
func (n *news) event(out *output, e *vswitch.Event) {
	switch e.Type {
	case vswitch.EventPortAdded:
		n.line(out, tagPortAdd, "%02d", e.Port)
	case vswitch.EventPortRemoved:
		if !n.left[e.Port] {
			n.line(out, tagPortDel, "%02d", e.Port)
		}
		delete(n.left, e.Port)
	case vswitch.EventLinkUp, vswitch.EventLinkDown:
		n.endpointNews(out, e.Port)
	case vswitch.EventSTPPort, vswitch.EventSTPRoot:
		n.treeNews(out)
	}
	if e.Type == vswitch.EventLinkDown || e.Type == vswitch.EventPortRemoved || e.Type == vswitch.EventSwitchChanged {
		n.treeNews(out) // ports leave their trees without a word
	}
}

// endpointNews tells who has come to a port and who has left it. An event says
// that somebody has, and not who.
func (n *news) endpointNews(out *output, port int) {
	var now []endpoint
	if p, err := n.c.sw.Port(strconv.Itoa(port)); err == nil {
		now = n.c.endpoints(&p)
	}
	before := n.ends[port]
	n.ends[port] = now
	for _, ep := range slices.Backward(before) {
		if !slices.Contains(now, ep) {
			n.line(out, tagEndDel, "Port %02d FD %2d", port, ep.id)
		}
	}
	if len(now) > 0 {
		delete(n.left, port)
	} else if len(before) > 0 { // that was its last one; if the port goes, too, it is not told again
		n.line(out, tagPortDel, "%02d", port)
		n.left[port] = true
	}
	for _, ep := range slices.Backward(now) {
		if !slices.Contains(before, ep) {
			n.line(out, tagEndAdd, "Port %02d FD %2d", port, ep.id)
			n.line(out, tagPortDescr, "Port %02d FD %2d -> \"%s\"", port, ep.id, printable(ep.descr))
		}
	}
}

// hashNews tells what has changed in the forwarding table.
func (n *news) hashNews(out *output) {
	if n.hash == nil {
		return
	}
	now := n.snapshot()
	for _, k := range sortedKeys(n.hash) {
		if port, ok := now[k]; !ok || port != n.hash[k] {
			n.line(out, tagHashDel, "%s", n.c.hashText(k, n.hash[k]))
		}
	}
	for _, k := range sortedKeys(now) {
		if port, ok := n.hash[k]; !ok || port != now[k] {
			n.line(out, tagHashAdd, "%s", n.c.hashText(k, now[k]))
		}
	}
	n.hash = now
}

func sortedKeys(m map[hashKey]int) []hashKey {
	keys := make([]hashKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b hashKey) int {
		if a.vid != b.vid {
			return int(a.vid) - int(b.vid)
		}
		return slices.Compare(a.mac[:], b.mac[:])
	})
	return keys
}

// snapshot is the forwarding table as it is now.
func (n *news) snapshot() map[hashKey]int {
	entries, _ := n.c.sw.FDB(vswitch.FDBFilter{}) // fails only for a port that is not there
	m := make(map[hashKey]int, len(entries))
	for _, e := range entries {
		m[hashKey{e.VID, e.MAC}] = e.Port
	}
	return m
}

// hashText is an address in a line of news.
func (c *Console) hashText(k hashKey, port int) string {
	return fmt.Sprintf("%v VLAN %s Port %d", k.mac, c.vlanText(k.vid), port)
}

// vlanText is the console's number of the switch's VLAN in a line of news.
func (c *Console) vlanText(vid frame.VID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	vlan := c.vlans.shown(vid)
	return fmt.Sprintf("%02x:%02x", vlan>>8, vlan&0xff)
}

func (n *news) ipNews(out *output) {
	if !n.wants(tagNewIP) {
		n.ips = n.c.ips.last()
		return
	}
	for _, text := range n.c.ips.since(&n.ips) {
		n.line(out, tagNewIP, "%s", text)
	}
}

// ended is a context in which nothing waits.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (c *call) debugList() error {
	c.printf("%-22s %-3s %-6s %s\n", "CATEGORY", "TAG", "STATUS", "HELP")
	c.printf("%-22s %-3s %-6s %s\n", "------------", "---", "------", "----")
	found := false
	for _, cat := range categories {
		if strings.HasPrefix(cat.path, c.arg) {
			found = true
			c.printf("%-22s %03o %-6s %s\n", cat.path, cat.tag, map[bool]string{true: "ON", false: "OFF"}[c.news.wants(cat.tag)], cat.help)
		}
	}
	if !found {
		return syscall.ENOENT
	}
	return nil
}

func (c *call) debugAdd() error {
	switch found, changed := c.news.set(c.arg, true); {
	case found == 0:
		return syscall.EINVAL
	case changed == 0:
		return syscall.EEXIST
	}
	return nil
}

func (c *call) debugDel() error {
	switch found, changed := c.news.set(c.arg, false); {
	case found == 0:
		return syscall.EINVAL
	case changed == 0:
		return syscall.ENOENT
	}
	return nil
}
