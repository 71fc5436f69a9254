//go:build linux

package main

import (
	"slices"
	"time"
)

// Scenarios about many ports, and about ports that behave badly.

// scaleScenarios are those that need a switch with a FDB, queues and many ports.
func scaleScenarios(p *peer, s settings) []*scenario {
	idle, flood, few := 10*time.Second, 3*time.Second, atMost(3)
	if s.quick {
		idle, flood, few = 3*time.Second, time.Second, atMost(1)
	}
	thousand := herdOf(1000, "count")
	return []*scenario{
		{name: "idle64", table: tableScale, quick: true, reps: atMost(1), cells: []cell{
			{name: "64 ports", peer: p, plan: &plan{jobs: []job{herdOf(64, "idle")}, warm: time.Second, dur: idle}}}},
		{name: "ports1000", table: tableScale, quick: true, reps: few, cells: []cell{
			{name: "1000 ports", peer: p, more: plugTimes, plan: &plan{jobs: []job{herdOf(1001, "plug")}, ready: time.Minute, dur: 100 * time.Millisecond}}}},
		{name: "flood1000", table: tableScale, quick: true, reps: few, cells: []cell{
			{name: "1000 frames/s", peer: p, more: silentPorts, plan: &plan{ready: time.Minute, warm: time.Second, dur: flood,
				jobs: []job{thousand, {Role: "send", Port: 1, Size: 64, Batch: 1, Rate: 1000}}}}}},
		stuckScenario(p, s, "stuck/paced", 100_000),
		stuckScenario(p, s, "stuck/blast", 0),
		macFloodScenario(p, s),
	}
}

// plugTimes compares early with late ports; single ones scatter, so eleven around each.
func plugTimes(o *outcome, v values) {
	plugs := o.all[0]
	v[mPlug10] = medianOf(plugs[5:16])
	v[mPlugMax] = medianOf(plugs[len(plugs)-11:])
}

func medianOf(ns []uint32) float64 { return percentile(slices.Sorted(slices.Values(ns)), 50) / 1e3 }

// silentPorts counts those that got nothing at all: no gap in the numbers would tell.
func silentPorts(o *outcome, v values) {
	v[mSilent] = 0
	for _, frames := range o.all[0] {
		if frames == 0 {
			v[mSilent]++
		}
	}
}

// stuckScenario floods four ports, two that count and two that play ping-pong, without and with a fifth that never reads.
// Paced: the rate is one that a sound switch holds without loss. Blast: the sender takes what it gets, and overruns readers
// on a small machine even without the stuck port; then the two cells must be alike.
func stuckScenario(p *peer, s settings, name string, rate float64) *scenario {
	jobs := []job{
		{Role: "recv", Port: 2, Size: 512}, {Role: "recv", Port: 3, Size: 512},
		{Role: "echo", Port: 4, Size: 64}, {Role: "ping", Port: 5, Size: 64, Dst: []int{4}, Rate: 2000},
		{Role: "send", Port: 1, Size: 512, Batch: 64, Rate: rate},
	}
	dur := 10 * time.Second
	switch {
	case s.long:
		dur = time.Minute
	case s.quick:
		dur = 2 * time.Second
	case rate == 0:
		dur = 5 * time.Second
	}
	reps := atMost(2)
	if s.quick {
		reps = atMost(1)
	}
	stuck := append([]job{herdOf(1, "stuck")}, jobs...)
	return &scenario{name: name, table: tableScale, quick: rate > 0, reps: reps, base: "all read", cells: []cell{
		{name: "all read", peer: p, plan: &plan{jobs: jobs, dur: dur}},
		{name: "one stuck", peer: p, plan: &plan{jobs: stuck, dur: dur}},
	}}
}

// macFloodScenario: a million source addresses from port 3 to port 4 while port 1 sends to port 2. The flood itself
// takes CPU from the pair on a small machine, whatever its addresses; so the cell to compare with sends the same frames at the same
// rate from one address. Port 4 watches: a frame of the pair that shows up there was flooded because port 2's address was lost.
func macFloodScenario(p *peer, s settings) *scenario {
	const (
		macs = 1_000_000
		dur  = 4 * time.Second
	)
	reps := atMost(5)
	if s.quick {
		reps = atMost(1)
	}
	watch := herdJob{Ports: 1, Mode: "idle"}
	quiet := append(pairJobs(1, 64, 64), job{Role: "herd", Port: 4, Size: 64, Herd: watch})
	flood := job{Role: "send", Port: 3, Size: 64, Batch: 64, Dst: []int{4}, Rate: macs * float64(time.Second) / float64(dur)}
	random := flood
	random.RandomSrc = macs
	with := func(name string, jobs ...job) cell {
		return cell{name: name, peer: p, plan: &plan{jobs: jobs, dur: dur + 100*time.Millisecond}}
	}
	return &scenario{name: "macflood", table: tableScale, quick: true, reps: reps, base: "flood, 1 MAC", cells: []cell{
		with("before", quiet...),
		with("flood, 1 MAC", append(slices.Clone(quiet), flood)...),
		with("flood, 1000000 MACs", append(slices.Clone(quiet), random)...),
	}}
}
