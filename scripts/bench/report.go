//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// printReport writes the tables, then the targets, then what failed.
func printReport(w io.Writer, list []*scenario, r *results) {
	for _, t := range []struct {
		title string
		table int
		head  []string
		row   func(*results, *scenario, cell) []string
	}{
		{"Throughput. M/s: million delivered frames per second, median [min-max]; CPU: of the switch per delivered frame; x: ratio of frames/s, median of the repetitions' ratios.",
			tableRate, []string{"scenario", "switch", "M/s", "[min-max]", "Gbit/s", "loss %", "CPU ns", "x copy", "x vde_switch", "x base"}, rateRow},
		{"Round trip, one frame outstanding, microseconds. x: ratio to vde_switch.",
			tableRTT, []string{"scenario", "switch", "p50", "[min-max]", "p99", "[min-max]", "p99.9", "x p50", "x p99"}, rttRow},
		{"Many ports, bad neighbours.",
			tableScale, []string{"scenario", "case", "what", "median", "min", "max"}, nil},
		{"Management. x without: frames/s with it : without it, in turns.",
			tableManage, []string{"scenario", "case", "what", "median", "min", "max"}, nil},
		{"The host's own network: iperf3 between two namespaces, or two guests, Gbit/s received. own: with this machine's TCP congestion control, " + machineCongestion() + "; elsewhere Linux's, " + linuxCongestion + ".",
			tableHost, []string{"scenario", "switch", "Gbit/s", "[min-max]", "x bridge", "x vde_switch"}, hostRow},
	} {
		rows := [][]string{t.head}
		for _, s := range list {
			if s.table != t.table {
				continue
			}
			for _, c := range s.cells {
				if t.row == nil {
					rows = append(rows, scaleRows(r, s, c)...)
				} else if row := t.row(r, s, c); row != nil {
					rows = append(rows, row)
				}
			}
		}
		if len(rows) > 1 {
			fmt.Fprintf(w, "\n%s\n\n", t.title)
			printTable(w, rows)
		}
	}
	if n := r.disturbed(""); n > 0 {
		fmt.Fprintf(w, "\nNot to be trusted: in %d of %d samples other programs used more than %.0f %% of a CPU, again and again.\n", n, len(r.samples), foreignLimit)
	}
	printTargets(w, r)
	var failed [][]string
	for _, e := range r.errors() {
		failed = append(failed, []string{e.Scenario, e.Cell, e.Error})
	}
	if len(failed) > 0 {
		fmt.Fprint(w, "\nFailed.\n\n")
		printTable(w, failed)
	}
}

func rateRow(r *results, s *scenario, c cell) []string {
	f := r.sum(s.name, c.name, mFPS)
	if f.n == 0 {
		return nil
	}
	base := "-"
	if s.base != "" {
		base = num(r.ratio(s.name, c.name, s.base, mFPS), 2)
	}
	return []string{s.name, c.name,
		num(f.mid/1e6, 3), span(f.min/1e6, f.max/1e6, 2),
		num(r.sum(s.name, c.name, mGbps).mid, 2),
		num(100*r.sum(s.name, c.name, mLoss).mid, 3),
		num(r.sum(s.name, c.name, mCPU).mid, 0),
		num(r.ratio(s.name, c.name, "copy", mFPS), 2), num(r.ratio(s.name, c.name, "vde_switch", mFPS), 1), base}
}

func rttRow(r *results, s *scenario, c cell) []string {
	p50, p99 := r.sum(s.name, c.name, mP50), r.sum(s.name, c.name, mP99)
	if p50.n == 0 {
		return nil
	}
	return []string{s.name, c.name,
		num(p50.mid, 1), span(p50.min, p50.max, 0), num(p99.mid, 1), span(p99.min, p99.max, 0),
		num(r.sum(s.name, c.name, mP999).mid, 0),
		num(r.ratio(s.name, c.name, "vde_switch", mP50), 2), num(r.ratio(s.name, c.name, "vde_switch", mP99), 2)}
}

// scaleMetrics are the ones worth a line, where a scenario has them.
var scaleMetrics = []struct {
	metric, label string
	scale         float64
	digits        int
	only          string // scenarios whose name starts so
}{
	{mFPS, "delivered M/s", 1e-6, 3, ""},
	{mSent, "sent M/s", 1e-6, 3, "stuck"},
	{mLost, "lost frames", 1, 0, ""},
	{mSilent, "ports without a frame", 1, 0, ""},
	{mP50, "RTT p50 us", 1, 1, ""},
	{mP99, "RTT p99 us", 1, 1, ""},
	{mOther, "strayed frames", 1, 0, "macflood"},
	{mCPUPct, "CPU %", 1, 3, "idle"},
	{mCPUPct, "CPU %", 1, 1, "flood"},
	{mRSS, "RSS MiB", 1, 1, "ports"},
	{mRSS, "RSS MiB", 1, 1, "macflood"},
	{"info " + mP50, "info p50 us", 1, 0, ""},
	{"info " + mP99, "info p99 us", 1, 0, ""},
	{"ports " + mP50, "ports p50 us", 1, 0, ""},
	{"ports " + mP99, "ports p99 us", 1, 0, ""},
	{"fdb " + mP50, "fdb p50 us", 1, 0, ""},
	{"fdb " + mP99, "fdb p99 us", 1, 0, ""},
	{"stats " + mP50, "stats p50 us", 1, 0, ""},
	{"stats " + mP99, "stats p99 us", 1, 0, ""},
	{mConsole + " " + mP50, "answer p50 ms", 1, 2, ""},
	{mConsole + " " + mP99, "answer p99 ms", 1, 2, ""},
	{mAttach + " " + mP50, "attach p50 ms", 1, 2, ""},
	{mAttach + " " + mP99, "attach p99 ms", 1, 2, ""},
	{mWith, "frames/s x without", 1, 4, ""},
	{mOurs, "CPU % of switch and clients", 1, 2, ""},
	{mRun, "start to end, median ms", 1, 1, ""},
	{mRunMax, "start to end, longest ms", 1, 1, ""},
	{mWatch, "CPU %", 1, 2, ""},
	{mBeside, "iperf3 x before", 1, 2, ""},
	{mBack, "answers again after, ms", 1, 0, ""},
	{mPlug10, "plug about the 10th, us", 1, 0, ""},
	{mPlugMax, "plug about the 1000th, us", 1, 0, ""},
}

func scaleRows(r *results, s *scenario, c cell) [][]string {
	var rows [][]string
	for _, m := range scaleMetrics {
		v := r.sum(s.name, c.name, m.metric)
		if v.n > 0 && strings.HasPrefix(s.name, m.only) {
			rows = append(rows, []string{s.name, c.name, m.label, num(v.mid*m.scale, m.digits), num(v.min*m.scale, m.digits), num(v.max*m.scale, m.digits)})
		}
	}
	return rows
}

func num(v float64, digits int) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func span(lo, hi float64, digits int) string {
	return "[" + num(lo, digits) + "-" + num(hi, digits) + "]"
}

// printTable aligns columns: words to the left, numbers to the right.
func printTable(w io.Writer, rows [][]string) {
	width := []int{}
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len(c))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-len(c))
			if i < 2 || slices.ContainsFunc([]byte(rows[len(rows)-1][i]), isLetter) {
				b.WriteString(c + pad + "  ")
			} else {
				b.WriteString(pad + c + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
