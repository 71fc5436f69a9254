//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Scenarios about management: what it costs the data path, and what the data path costs it.

// Metrics of these scenarios. Those of single requests have the request's last word before them.
const (
	mWith   = "with"     // delivered frames/s with it : without it, median over the turns
	mOurs   = "ours_pct" // CPU of the switch and all clients
	mRun    = "run_ms"   // start to end of a program
	mRunMax = "runmax_ms"
	mWatch  = "watch_pct" // CPU of a program on a terminal
)

// asked are the reads that are timed.
var asked = []string{"GET /v1/info", "GET /v1/ports", "GET /v1/fdb", "GET /v1/stats"}

const readEvents = "GET /v1/events?follow=1&since=LATEST"

// label is the last word of a request's path.
func label(request string) string { return request[strings.LastIndex(request, "/")+1:] }

func manageScenarios(p *peer, s settings) []*scenario {
	few, long, turns, turn := atMost(3), 10*time.Second, 100, 60*time.Millisecond
	if s.quick {
		few, long, turns = atMost(1), 2*time.Second, 15
	}
	vnetctl := filepath.Join(filepath.Dir(p.program), "vnetctl")
	program := func(name string, ports int, words string) cell {
		run := job{Role: "run", Port: 1, Rate: 10, Manage: manageJob{Program: append([]string{vnetctl, "-s", "SWITCH"}, strings.Fields(words)...)}}
		return cell{name: name, peer: p, more: runTimes, plan: &plan{jobs: []job{herdOf(ports, "idle"), run}, ready: time.Minute, dur: long / 2}}
	}
	top := func(name string, ports int, load ...job) cell {
		w := job{Role: "watch", Port: 1, Manage: manageJob{Program: []string{vnetctl, "-s", "SWITCH", "top"}}}
		return cell{name: name, peer: p, more: watchTimes, plan: &plan{jobs: append(load, herdOf(ports, "idle"), w), ready: time.Minute, warm: 2 * time.Second, dur: long}}
	}
	million := func() []job {
		jobs := pairJobs(1, 64, 64)
		jobs[1].Rate = 1e6
		return jobs
	}
	beside := func(name, request string, times int, more ...job) cell {
		jobs := append(pairJobs(1, 64, 64), herdOf(8, "idle"))
		jobs = append(jobs, more...)
		jobs = append(jobs, job{Role: "follow", Port: 50, Manage: manageJob{Requests: []string{request}, Times: times}})
		return cell{name: name, peer: p, more: withAndWithout, plan: &plan{jobs: jobs, dur: turn, turns: turns}}
	}
	events := job{Role: "ask", Port: 51, Rate: 10, Manage: manageJob{Requests: []string{`PATCH /v1/switch {"ageing_seconds":300}`}}}
	alone := func(name string, times int) cell {
		follow := job{Role: "follow", Port: 50, Manage: manageJob{Requests: []string{readEvents}, Times: times}}
		return cell{name: name, peer: p, more: func(o *outcome, v values) { v[mOurs] = 100 * o.ours.Seconds() / o.elapsed.Seconds() },
			plan: &plan{jobs: []job{herdOf(8, "idle"), events, follow}, dur: long}}
	}
	reader := job{Role: "ask", Port: 50, Rate: 400, Manage: manageJob{Requests: asked}}
	return []*scenario{
		{name: "manage/read", table: tableManage, quick: true, reps: few, cells: []cell{
			{name: "idle", peer: p, more: askTimes, plan: &plan{jobs: []job{herdOf(8, "idle"), reader}, dur: long}},
			{name: "1 M frames/s", peer: p, more: askTimes, plan: &plan{jobs: append(million(), herdOf(8, "idle"), reader), dur: long}}}},
		{name: "manage/events", table: tableManage, quick: true, reps: few, cells: []cell{
			beside("100 readers", readEvents, 100),
			beside("100 readers, 10 events/s", readEvents, 100, events),
			alone("0 readers, 10 events/s, no frames", 0),
			alone("100 readers, 10 events/s, no frames", 100)}},
		{name: "manage/capture", table: tableManage, quick: true, reps: few, cells: []cell{
			beside("of another port", "GET /v1/capture?ports=4", 1), // the herd's
			beside("of the sender's port", "GET /v1/capture?ports=2", 1),
			beside("of it, nothing matches", "GET /v1/capture?ports=2&filter=ip6", 1)}},
		{name: "manage/vnetctl", table: tableManage, quick: true, reps: few, cells: []cell{
			program("info", 8, "info"), program("ports", 8, "ports"), program("1000 ports: ports", 1000, "ports"), program("1000 ports: ports --json", 1000, "ports --json")}},
		{name: "manage/top", table: tableManage, quick: true, reps: few, cells: []cell{
			top("8 ports", 8), top("8 ports, 1 M frames/s", 8, million()...), top("1000 ports", 1000)}},
	}
}

// samplesOf are what a role has noted in the interval, in order.
func (o *outcome) samplesOf(role string) (v []uint32, first int) {
	for i, j := range o.jobs {
		if j.Role == role {
			first = int(o.before[i].samples)
			return o.all[i][first:], first
		}
	}
	return nil, 0
}

// askTimes sorts round trips by request.
func askTimes(o *outcome, v values) {
	all, first := o.samplesOf("ask")
	by := make([][]uint32, len(asked))
	for i, ns := range all {
		n := (first + i) % len(asked)
		by[n] = append(by[n], ns)
	}
	for i, samples := range by {
		slices.Sort(samples)
		v[label(asked[i])+" "+mP50] = percentile(samples, 50) / 1e3
		v[label(asked[i])+" "+mP99] = percentile(samples, 99) / 1e3
	}
}

func runTimes(o *outcome, v values) {
	all, _ := o.samplesOf("run")
	slices.Sort(all)
	v[mRun], v[mRunMax] = percentile(all, 50)/1e6, percentile(all, 100)/1e6
}

func watchTimes(o *outcome, v values) {
	all, _ := o.samplesOf("watch")
	var sum float64
	for _, ns := range all {
		sum += float64(ns)
	}
	v[mWatch] = 100 * sum / 1e9 / float64(len(all))
}

func withAndWithout(o *outcome, v values) {
	v[mWith] = median(o.with)
}

// observeTurns looks at the same traffic in turns, without those who follow and with them, so close to each other that
// what disturbs the machine disturbs both: off on on off, and a ratio of each neighbouring two. The outcome is that of the last turn.
func observeTurns(run *running, workers []*worker, p *plan) (*outcome, error) {
	var last *outcome
	var with []float64
	for range p.turns {
		var off, on [2]values
		for i, is := range []uint32{0, 1, 1, 0} {
			if err := takeTurn(workers, is); err != nil {
				return nil, err
			}
			o, err := observe(run, workers, p.dur)
			if err != nil {
				return nil, err
			}
			last = o
			if is == 1 {
				on[i-1] = o.traffic()
			} else {
				off[i/2] = o.traffic()
			}
		}
		for i := range on {
			with = append(with, on[i][mFPS]/off[i][mFPS])
		}
	}
	last.with = with
	return last, nil
}

// takeTurn tells those who follow to begin or to end, and waits until they have.
func takeTurn(workers []*worker, on uint32) error {
	if !slices.ContainsFunc(workers, func(w *worker) bool { return w.job.Role == "follow" }) {
		return nil
	}
	for _, w := range workers {
		if w.job.Role != "follow" {
			continue
		}
		w.shm.turn.Store(on)
		for end := time.Now().Add(10 * time.Second); w.shm.active.Load() != on; time.Sleep(time.Millisecond) {
			if err := w.dead(); err != nil {
				return err
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s does not begin or end", w.name)
			}
		}
	}
	time.Sleep(20 * time.Millisecond) // what beginning and ending cost is over
	return nil
}
