//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// target is one line of "what it must reach". Its value is NaN when the run did not measure it.
type target struct {
	text  string
	limit float64
	least bool // the value must be at least the limit, else at most
	value func(*results) float64

	scenario string // that it comes from; "": all
}

const self = "vswitch"

func targetTable() []target {
	fps := func(scenario, a, b string) func(*results) float64 {
		return func(r *results) float64 { return r.ratio(scenario, a, b, mFPS) }
	}
	largest := func(scenario, cell, metric string) func(*results) float64 {
		return func(r *results) float64 { return r.sum(scenario, cell, metric).max }
	}
	middle := func(scenario, cell, metric string) func(*results) float64 {
		return func(r *results) float64 { return r.sum(scenario, cell, metric).mid }
	}
	return append(slices.Concat(vdeTargets(), hostTargets(), vhostTargets()), []target{
		{"64 B, 64 per call: x copy-only limit", 0.80, true, fps("pair/64/64", self, "copy"), "pair/64/64"},
		{"64 B, 1 per call: x copy-only limit", 0.90, true, fps("pair/64/1", self, "copy"), "pair/64/1"},
		{"1514 B, 64 per call: x copy-only limit", 1.0, true, fps("pair/1514/64", self, "copy"), "pair/1514/64"},
		{"64 B, 64 per call: x vde_switch", 30, true, fps("pair/64/64", self, "vde_switch"), "pair/64/64"},
		{"access port to trunk: x untagged", 0.6, true, fps("vlan/64/64", "access>trunk", "untagged"), "vlan/64/64"},
		{"RTT p50: x vde_switch", 0.75, false, func(r *results) float64 { return r.ratio("rtt/64", self, "vde_switch", mP50) }, "rtt/64"},
		{"RTT p99: x vde_switch", 1.0, false, func(r *results) float64 { return r.ratio("rtt/64", self, "vde_switch", mP99) }, "rtt/64"},
		{"64 idle ports: CPU %", 0.1, false, middle("idle64", "64 ports", mCPUPct), "idle64"},
		{"busy pair beside 64 idle ports: x alone", 0.97, true, fps("neighbours/64/64", "64 idle ports", "alone"), "neighbours/64/64"},
		{"1000 ports: RSS MiB", 400, false, largest("ports1000", "1000 ports", mRSS), "ports1000"},
		{"1000 ports: time to plug the 1000th x the 10th (1.5: as long, within the noise)", 1.5, false, func(r *results) float64 {
			return median(ratios(r.series("ports1000", "1000 ports", mPlugMax), r.series("ports1000", "1000 ports", mPlug10)))
		}, "ports1000"},
		{"flood to 1000 ports at 1000/s: frames delivered per second", 970_000, true, middle("flood1000", "1000 frames/s", mFPS), "flood1000"},
		{"flood to 1000 ports at 1000/s: frames lost, ports left out", 0, false, func(r *results) float64 {
			return r.sum("flood1000", "1000 frames/s", mLost).max + r.sum("flood1000", "1000 frames/s", mSilent).max
		}, "flood1000"},
		{"one port never reads, flood at 100,000/s: frames others lost", 0, false, largest("stuck/paced", "one stuck", mLost), "stuck/paced"},
		{"one port never reads, flood at 100,000/s: others' p99 x before", 1.10, false, func(r *results) float64 {
			return r.ratio("stuck/paced", "one stuck", "all read", mP99)
		}, "stuck/paced"},
		{"1,000,000 source MACs: others' frames/s x same flood from 1 MAC", 0.90, true, fps("macflood", "flood, 1000000 MACs", "flood, 1 MAC"), "macflood"},
		{"1,000,000 source MACs: others' frames that strayed (address lost)", 0, false, largest("macflood", "flood, 1000000 MACs", mOther), "macflood"},
		{"API reads at 1 M frames/s: p99 of info, ports, fdb, stats, us", 1000, false, func(r *results) float64 {
			worst := math.NaN()
			for _, a := range asked {
				if v := r.sum("manage/read", "1 M frames/s", label(a)+" "+mP99).mid; math.IsNaN(worst) || v > worst {
					worst = v
				}
			}
			return worst
		}, "manage/read"},
		{"API reads at 1 M frames/s: frames per second that pass", 950_000, true, middle("manage/read", "1 M frames/s", mFPS), "manage/read"},
		{"100 readers of events: frames/s x without", 0.97, true, middle("manage/events", "100 readers", mWith), "manage/events"},
		{"100 readers of 10 events/s: frames/s x without", 0.97, true, middle("manage/events", "100 readers, 10 events/s", mWith), "manage/events"},
		{"100 readers of 10 events/s: CPU % that they and the switch take for it", 3, false, func(r *results) float64 {
			return r.sum("manage/events", "100 readers, 10 events/s, no frames", mOurs).mid - r.sum("manage/events", "0 readers, 10 events/s, no frames", mOurs).mid
		}, "manage/events"},
		{"capture of another port: frames/s x without", 0.98, true, middle("manage/capture", "of another port", mWith), "manage/capture"},
		{"vnetctl info, start to end: ms", 30, false, middle("manage/vnetctl", "info", mRun), "manage/vnetctl"},
		{"vnetctl ports of 1000 ports, start to end: ms", 100, false, middle("manage/vnetctl", "1000 ports: ports", mRun), "manage/vnetctl"},
		{"vnetctl top: CPU %", 2, false, middle("manage/top", "8 ports, 1 M frames/s", mWatch), "manage/top"},
		{"corrupt or repeated frames, all scenarios", 0, false, damage, ""},
	}...)
}

// damage is over all samples of the switch under test: the others' faults are their own.
func damage(r *results) float64 {
	sum, any := 0.0, false
	for _, s := range r.samples {
		if v, ok := s.Values[mDamage]; ok && !s.Peer {
			sum, any = sum+v, true
		}
	}
	if !any {
		return math.NaN()
	}
	return sum
}

func (t target) met(v float64) bool { return t.least && v >= t.limit || !t.least && v <= t.limit }

// printTargets shows the targets that this run has measured and returns how many it missed.
func printTargets(w io.Writer, r *results) int {
	rows, missed := [][]string{{"what", "target", "measured", ""}}, 0
	for _, t := range targetTable() {
		v := t.value(r)
		if math.IsNaN(v) {
			continue
		}
		sign, verdict := "<=", "ok"
		if t.least {
			sign = ">="
		}
		if !t.met(v) {
			verdict = "MISS"
			missed++
		}
		if t.scenario != "" && r.disturbed(t.scenario) > 0 {
			verdict += ", disturbed"
		}
		rows = append(rows, []string{t.text, sign + " " + plain(t.limit), plain(v), verdict})
	}
	if len(rows) > 1 {
		fmt.Fprint(w, "\nTargets.\n\n")
		printTable(w, rows)
	}
	return missed
}

// plain writes three decimals of a small number and none of a large one.
func plain(v float64) string {
	if math.Abs(v) >= 1000 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
