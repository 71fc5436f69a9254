package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// sortNames are what top can sort by.
var sortNames = []string{"rate", "drops", "queue", "name"}

// topView is what top shows: two readings, and how to look at them. It knows
// nothing of terminals.
type topView struct {
	before, now api.Stats
	rates       *client.Rates // nil: not known yet
	why         map[int]string

	sort    string
	reverse bool
	from    int // first port shown
	colour  bool
	trouble string // the last reading failed
}

// add takes a new reading.
func (v *topView) add(st api.Stats) {
	v.before, v.now = v.now, st
	v.rates, v.why = nil, map[int]string{}
	r, ok := client.RatesBetween(v.before, v.now)
	if !ok {
		return
	}
	v.rates = &r
	old := map[int]api.PortStats{}
	for _, p := range v.before.Ports {
		old[p.ID] = p
	}
	for _, p := range v.now.Ports {
		most := uint64(0)
		for _, reason := range sortedKeys(p.Drops) {
			if n, was := p.Drops[reason], old[p.ID].Drops[reason]; n > was && n-was > most {
				most, v.why[p.ID] = n-was, reason
			}
		}
	}
}

// key is what a key does.
func (v *topView) key(key string) {
	switch key {
	case "r", "d", "u", "n":
		v.sort, v.from = map[string]string{"r": "rate", "d": "drops", "u": "queue", "n": "name"}[key], 0
	case "i":
		v.reverse, v.from = !v.reverse, 0
	case "j", "\x1b[B":
		v.from++
	case "k", "\x1b[A":
		v.from--
	}
	v.from = max(0, min(v.from, len(v.now.Ports)-1))
}

// sorted is the ports in the order that was asked for: the highest first, or
// the first in the alphabet.
func (v *topView) sorted() []api.PortStats {
	list := slices.Clone(v.now.Ports)
	rate := func(p api.PortStats) (r client.Rate) {
		if v.rates != nil {
			r = v.rates.Ports[p.ID]
		}
		return r
	}
	slices.SortStableFunc(list, func(a, b api.PortStats) int {
		order := 0
		switch ra, rb := rate(a), rate(b); v.sort {
		case "rate":
			order = cmp.Compare(rb.RxFrames+rb.TxFrames, ra.RxFrames+ra.TxFrames)
		case "drops":
			order = cmp.Or(cmp.Compare(rb.Drops, ra.Drops), cmp.Compare(sum(b.Drops), sum(a.Drops)))
		case "queue":
			order = cmp.Compare(b.Queue, a.Queue)
		case "name":
			order = cmp.Compare(a.Name, b.Name)
		}
		order = cmp.Or(order, cmp.Compare(a.ID, b.ID))
		if v.reverse {
			return -order
		}
		return order
	})
	return list
}

// summary is the switch in a line.
func (v *topView) summary() string {
	t := v.now.Totals
	text := fmt.Sprintf("%d of %d ports up", t.PortsUp, t.Ports)
	if v.rates != nil {
		r := v.rates.Totals
		text += fmt.Sprintf("  in %s/s %sbit/s  drops %s/s", human(r.RxFrames), human(r.RxBits), human(r.Drops))
	}
	return text + fmt.Sprintf("  queue %d  macs %d", t.Queue, v.now.FDB.Entries)
}

// topImportance is the order in which columns give way in a narrow terminal,
// the last first. It has the heads of table, which a test compares.
var topImportance = []string{"NAME", "RX/s", "TX/s", "DROP/s", "QUEUE", "RX-bit/s", "TX-bit/s", "STATE", "WHY", "DROPS", "ID"}

func (v *topView) table() *table {
	t := &table{columns: []column{
		{head: "ID", right: true}, {head: "NAME"}, {head: "STATE", paint: paintState}, {head: "RX/s", right: true}, {head: "RX-bit/s", right: true}, {head: "TX/s", right: true},
		{head: "TX-bit/s", right: true}, {head: "DROP/s", right: true}, {head: "QUEUE", right: true}, {head: "DROPS", right: true}, {head: "WHY"},
	}}
	for _, p := range v.sorted() {
		rates := []string{"", "", "", "", ""}
		if v.rates != nil {
			if r, ok := v.rates.Ports[p.ID]; ok {
				rates = []string{human(r.RxFrames), human(r.RxBits), human(r.TxFrames), human(r.TxBits), human(r.Drops)}
			}
		}
		row := append([]string{fmt.Sprint(p.ID), p.Name, p.State}, rates...)
		t.add(append(row, fmt.Sprint(p.Queue), humanUint(sum(p.Drops)), v.why[p.ID])...)
	}
	return t
}

// lines draws the view for a terminal of w columns and h lines. None is longer
// than w, and there are no more than h.
func (v *topView) lines(w, h int) []string {
	head := "by " + v.sort + "  " + v.summary()
	if v.reverse {
		head = "by " + v.sort + ", reversed  " + v.summary()
	}
	if v.trouble != "" {
		head = "! " + v.trouble
	}
	foot := "q quit  sort: r rate, d drops, u queue, n name  i invert  j k scroll"
	rows := max(0, h-3)
	t := v.table()
	// Widths are those of all rows, so that columns stay where they are while
	// one scrolls.
	t.fit(w)
	var b strings.Builder
	t.print(&b, true, false)
	body := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	list := []string{cut(head, w), v.paint("\x1b[7m", pad(cut(body[0], w), w))}
	from := max(0, min(v.from, len(body)-1-rows))
	for i, line := range body[1:] {
		if i >= from && i < from+rows {
			list = append(list, v.paintRow(cut(line, w)))
		}
	}
	for len(list) < h-1 {
		list = append(list, "")
	}
	list = append(list, cut(foot, w))
	return list[:min(len(list), max(h, 0))]
}

// paint wraps text in a colour, where there are colours.
func (v *topView) paint(colour, text string) string {
	if !v.colour {
		return text
	}
	return colour + text + "\x1b[0m"
}

// paintRow colours a row's state.
func (v *topView) paintRow(line string) string {
	if !v.colour {
		return line
	}
	for _, state := range []string{api.StateDown, api.StateWaiting} {
		if i := strings.Index(line, "  "+state+"  "); i >= 0 {
			return line[:i+2] + paintState(state) + line[i+2+len(state):]
		}
	}
	return line
}

// fit leaves columns out until what is left has room in w columns, and at last
// shortens names.
func (t *table) fit(w int) {
	for i := len(topImportance) - 1; i > 0 && t.width() > w; i-- {
		at := slices.IndexFunc(t.columns, func(c column) bool { return c.head == topImportance[i] })
		if at < 0 || len(t.columns) <= 3 {
			continue
		}
		t.columns = slices.Delete(slices.Clone(t.columns), at, at+1)
		for j, row := range t.rows {
			t.rows[j] = slices.Delete(row, at, at+1)
		}
	}
	name := slices.IndexFunc(t.columns, func(c column) bool { return c.head == "NAME" })
	if over := t.width() - w; over > 0 && name >= 0 {
		longest := 0
		for _, row := range t.rows {
			longest = max(longest, columnsOf(row[name]))
		}
		for _, row := range t.rows {
			row[name] = cut(row[name], max(4, longest-over))
		}
	}
}

// width is how many columns of a terminal t takes up.
func (t *table) width() int {
	total := 2 * (len(t.columns) - 1)
	for i, c := range t.columns {
		w := columnsOf(c.head)
		for _, row := range t.rows {
			w = max(w, columnsOf(row[i]))
		}
		total += w
	}
	return total
}

// columnsOf is how many columns of a terminal s takes up. Letters of the
// scripts that need two are taken to be all from U+1100 on, which is too many
// rather than too few.
func columnsOf(s string) (n int) {
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// cut shortens s to at most w columns.
func cut(s string, w int) string {
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n > w {
			return s[:i]
		}
	}
	return s
}

// pad fills s up to w columns.
func pad(s string, w int) string { return s + strings.Repeat(" ", max(0, w-columnsOf(s))) }
