//go:build linux

package main

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// plan is one measurement: who is plugged in and what they do.
type plan struct {
	jobs  []job          // started in this order; senders and pingers wait until all are plugged in
	tcp   bool           // over TCP on loopback instead of a unix socket
	doors map[int]string // ports that use another door of the switch than its default one
	warm  time.Duration  // traffic before the interval that counts (default 300 ms)
	dur   time.Duration  // length of the interval
	args  []string       // for vswitch, beyond its directory
	turns int            // take turns, this many times, without those who follow and with them; dur is the length of one
	ready time.Duration  // how long a client may take to plug in (default 10 s)

	started func(pid int) // told when traffic begins
}

// outcome is what was seen between the beginning and the end of the interval.
type outcome struct {
	jobs    []job
	before  []snapshot
	after   []snapshot
	samples [][]uint32 // per job: the interval's RTTs
	all     [][]uint32 // per job: all samples from the start
	elapsed time.Duration
	cpu     time.Duration // of the switch; -1: unknown
	foreign time.Duration // CPU time that went to neither the switch nor the clients
	rss     int64

	ours time.Duration // CPU time of the switch and the clients
	with []float64     // of plans with turns: frames/s with those who follow : without
}

const defaultWarm = 300 * time.Millisecond

// measure runs one plan on a fresh instance of the peer.
func (b *bed) measure(pe *peer, p *plan) (*outcome, error) {
	run, err := pe.start(b, p)
	if err != nil {
		return nil, err
	}
	defer run.stop()
	workers, err := b.plug(run, p)
	defer func() {
		for _, w := range workers {
			w.stop()
		}
	}()
	if err != nil {
		if run.proc != nil && run.proc.dead() != nil {
			err = run.proc.dead()
		}
		return nil, err
	}
	for _, w := range workers {
		w.shm.state.Store(stateGo)
	}
	if p.started != nil && run.proc != nil {
		p.started(run.proc.pid())
	}
	time.Sleep(cmp.Or(p.warm, defaultWarm))
	look := func() (*outcome, error) { return observe(run, workers, p.dur) }
	if err := takeTurn(workers, 1); err != nil {
		return nil, err
	}
	if p.turns > 0 {
		look = func() (*outcome, error) { return observeTurns(run, workers, p) }
	}
	o, err := look()
	if err != nil {
		return nil, err
	}
	for _, w := range workers {
		if err := w.dead(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// plug starts the clients one after the other.
func (b *bed) plug(run *running, p *plan) ([]*worker, error) {
	var workers []*worker
	for _, j := range p.jobs {
		j.Link = run.link(j.Port)
		w, err := b.startWorker(j)
		if err != nil {
			return workers, err
		}
		workers = append(workers, w)
		if err := w.await(statePlugged, cmp.Or(p.ready, 10*time.Second)); err != nil {
			return workers, err
		}
	}
	for _, w := range workers {
		w.shm.state.CompareAndSwap(statePlugged, stateAnnounce)
		if err := w.await(stateReady, cmp.Or(p.ready, 10*time.Second)); err != nil {
			return workers, err
		}
	}
	return workers, nil
}

func observe(run *running, workers []*worker, dur time.Duration) (*outcome, error) {
	o := &outcome{cpu: -1}
	pid := 0
	if run.proc != nil {
		pid = run.proc.pid()
	}
	a, err := takeSight(pid, workers)
	if err != nil {
		return nil, err
	}
	time.Sleep(dur)
	b, err := takeSight(pid, workers)
	if err != nil {
		return nil, err
	}
	o.before, o.after, o.elapsed = a.counters, b.counters, b.at.Sub(a.at)
	o.foreign = time.Duration(runtime.NumCPU())*o.elapsed - (b.idle - a.idle) - (b.ours - a.ours)
	o.ours = b.ours - a.ours
	if pid != 0 {
		o.cpu = b.cpu - a.cpu
		if o.rss, err = rssBytes(pid); err != nil {
			return nil, err
		}
	}
	for i, w := range workers {
		o.jobs = append(o.jobs, w.job)
		o.samples = append(o.samples, w.shm.since(o.before[i], o.after[i]))
		o.all = append(o.all, w.shm.since(snapshot{}, o.after[i]))
		slices.Sort(o.samples[i])
	}
	return o, nil
}

// sight is everything at (nearly) one moment.
type sight struct {
	at       time.Time
	counters []snapshot
	cpu      time.Duration // used by the switch
	ours     time.Duration // used by the switch and the clients
	idle     time.Duration // of all CPUs
}

func takeSight(pid int, workers []*worker) (*sight, error) {
	s := &sight{}
	var err error
	if s.idle, err = idleTime(); err != nil {
		return nil, err
	}
	for _, w := range workers {
		used, err := cpuTime(w.pid())
		if err != nil {
			return nil, fmt.Errorf("%s is gone: %w", w.name, cmp.Or(w.dead(), err))
		}
		s.ours += used
	}
	if pid != 0 {
		if s.cpu, err = cpuTime(pid); err != nil {
			return nil, fmt.Errorf("the switch is gone: %w", err)
		}
		s.ours += s.cpu
	}
	s.at = time.Now()
	for _, w := range workers {
		s.counters = append(s.counters, w.shm.snap())
	}
	return s, nil
}

// values of one measurement, by metric.
type values map[string]float64

// Metrics.
const (
	mFPS     = "fps"      // delivered frames per second, over all receivers
	mGbps    = "gbps"     // delivered, without FCS, preamble and gap
	mSent    = "sent_fps" // frames per second that senders got rid of
	mLoss    = "loss"     // lost / (lost + delivered)
	mLost    = "lost"     // frames
	mDamage  = "damage"   // corrupt or repeated frames; anything but 0 is a defect
	mOther   = "other"    // frames that were not for the port they came to
	mCPU     = "cpu_ns"   // of the switch, per delivered frame
	mCPUPct  = "cpu_pct"  // of the switch, per cent of one CPU
	mP50     = "p50_us"
	mP99     = "p99_us"
	mP999    = "p999_us"
	mForeign = "foreign_pct" // CPU that others used, per cent of one CPU
	mRSS     = "rss_mib"
	mPlug10  = "plug10_us"
	mPlugMax = "plugmax_us"
	mSilent  = "silent" // ports that never got a frame
)

// traffic sums up the receivers, and the pingers if there are any.
func (o *outcome) traffic() values {
	v := values{mRSS: float64(o.rss) / (1 << 20)}
	sec := o.elapsed.Seconds()
	var frames, bytes, lost, damage, other, sent uint64
	for i, j := range o.jobs {
		a, b := o.before[i], o.after[i]
		switch j.Role {
		case "recv", "herd":
			other += b.other - a.other
			damage += b.corrupt + b.dup
			if j.Role == "herd" && j.Herd.Mode != "count" {
				continue // a bystander: what it gets is not what the scenario measures
			}
			frames += b.frames - a.frames
			bytes += b.bytes - a.bytes
			lost += b.lost - a.lost
		case "send":
			sent += b.sent - a.sent
		case "ping":
			s := o.samples[i]
			v[mP50], v[mP99], v[mP999] = percentile(s, 50)/1e3, percentile(s, 99)/1e3, percentile(s, 99.9)/1e3
			v["pings"], v["pings_lost"] = float64(len(s)), float64(b.lost-a.lost)
		}
	}
	v[mOther], v[mDamage] = float64(other), float64(damage)
	if sent > 0 {
		v[mFPS], v[mGbps], v[mSent] = float64(frames)/sec, float64(bytes)*8/sec/1e9, float64(sent)/sec
		v[mLost] = float64(lost)
		v[mLoss] = float64(lost) / max(1, float64(lost+frames))
	}
	v[mForeign] = 100 * o.foreign.Seconds() / sec
	if o.cpu >= 0 {
		v[mCPUPct] = 100 * o.cpu.Seconds() / sec
		if frames > 0 {
			v[mCPU] = float64(o.cpu.Nanoseconds()) / float64(frames)
		}
	}
	return v
}
