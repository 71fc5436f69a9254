//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// scenario is one question. Its cells are measured in turn, A B C A B C, so that what disturbs the machine disturbs all
// of them, and ratios are taken within one turn.
type scenario struct {
	name  string
	table int // which table of the report it goes to
	quick bool
	reps  func(count int) int // default: count
	base  string              // the cell that the last column compares with
	cells []cell
}

const (
	tableRate = iota
	tableRTT
	tableScale
	tableManage
	tableHost
)

// cell is one column of a scenario: a peer, or the same peer in another situation.
type cell struct {
	name string
	peer *peer
	plan *plan
	more func(*outcome, values) // metrics beyond the usual ones

	direct func(*bed) (values, error) // instead of a plan
}

// settings are the flags that shape scenarios.
type settings struct {
	dur   time.Duration
	quick bool
	long  bool
}

// allScenarios is the programme of a full run, in order.
func allScenarios(peers []*peer, s settings) []*scenario {
	var list []*scenario
	for _, c := range []struct {
		size, batch int
		quick       bool
	}{{64, 64, true}, {64, 1, true}, {1514, 64, true}, {1514, 1, false}, {512, 64, false}, {512, 1, false}, {9014, 64, false}, {9014, 1, false}} {
		list = append(list, &scenario{name: fmt.Sprintf("pair/%d/%d", c.size, c.batch), quick: c.quick, reps: secondary(!c.quick),
			cells: cells(peers, &plan{jobs: pairJobs(1, c.size, c.batch), dur: s.dur})})
	}
	for _, size := range []int{64, 1514} {
		list = append(list,
			&scenario{name: fmt.Sprintf("tcp/%d/64", size), reps: atMost(3), cells: cells(peers, &plan{jobs: pairJobs(1, size, 64), dur: s.dur, tcp: true})},
			&scenario{name: fmt.Sprintf("pairs8/%d/64", size), reps: atMost(3), cells: cells(peers, &plan{jobs: pairJobs(8, size, 64), dur: s.dur})},
			&scenario{name: fmt.Sprintf("flood8/%d/64", size), reps: atMost(3), cells: cells(peers, &plan{jobs: floodJobs(8, size, 64), dur: s.dur})})
	}
	list = append(list,
		&scenario{name: "macs/64/64", reps: atMost(3), cells: cells(peers, &plan{jobs: manyMACs(pairJobs(1, 64, 64)), dur: s.dur})},
		&scenario{name: "scatter8/64/64", reps: atMost(3), cells: cells(peers, &plan{jobs: manyMACs(scatterJobs(8, 64, 64)), dur: s.dur})})
	list = append(list,
		&scenario{name: "rtt/64", table: tableRTT, quick: true, reps: s.twice(), cells: cells(peers, &plan{jobs: rttJobs(64), dur: s.dur})},
		&scenario{name: "rtt/1514", table: tableRTT, reps: atMost(3), cells: cells(peers, &plan{jobs: rttJobs(1514), dur: s.dur})})
	list = append(list, vdeScenarios(peers, s)...)
	for _, p := range peers {
		if p.managed {
			list = append(list, vlanScenario(p, s), neighbourScenario(p, s))
			list = append(list, scaleScenarios(p, s)...)
			list = append(list, manageScenarios(p, s)...)
		}
	}
	return slices.DeleteFunc(list, func(sc *scenario) bool { return len(sc.cells) == 0 || s.quick && !sc.quick })
}

// twice is for what scatters most.
func (s settings) twice() func(int) int {
	if s.quick {
		return nil
	}
	return func(count int) int { return 2 * count }
}

// secondary scenarios stand behind no target: fewer repetitions keep a full run short.
func secondary(yes bool) func(int) int {
	if yes {
		return atMost(3)
	}
	return nil
}

func atMost(n int) func(int) int {
	return func(count int) int { return min(n, count) }
}

// cells has one cell for each peer that can carry the plan.
func cells(peers []*peer, p *plan) []cell {
	ports, size, joined := map[int]bool{}, 0, true
	for _, j := range p.jobs {
		ports[j.Port] = true
		size = max(size, j.Size)
		joined = joined && (len(j.Dst) == 1 || j.Role != "send")
	}
	var out []cell
	for _, pe := range peers {
		switch {
		case pe.maxSize > 0 && size > pe.maxSize,
			pe.pairs && !joined,
			p.tcp && !pe.tcp:
			continue
		}
		out = append(out, cell{name: pe.name, peer: pe, plan: p})
	}
	return out
}

// pairJobs is n senders, each with its own receiver. Partners plug in one after the other: the copy-only limit joins them so.
func pairJobs(n, size, batch int) []job {
	var jobs []job
	for i := range n {
		jobs = append(jobs,
			job{Role: "recv", Port: 2*i + 2, Size: size},
			job{Role: "send", Port: 2*i + 1, Size: size, Batch: batch, Dst: []int{2*i + 2}})
	}
	return jobs
}

// floodJobs is one sender of broadcasts and n receivers.
func floodJobs(n, size, batch int) []job {
	jobs := scatterJobs(n, size, batch)
	jobs[n].Dst = nil
	return jobs
}

// scatterJobs is one sender whose every frame goes to one of n receivers.
func scatterJobs(n, size, batch int) []job {
	send := job{Role: "send", Port: 1, Size: size, Batch: batch}
	var jobs []job
	for i := range n {
		jobs = append(jobs, job{Role: "recv", Port: i + 2, Size: size})
		send.Dst = append(send.Dst, i+2)
	}
	return append(jobs, send)
}

// manyMACs puts 64 addresses behind every port, so that a cache of the last look-up helps nobody.
func manyMACs(jobs []job) []job {
	for i := range jobs {
		jobs[i].MACs = 64
	}
	return jobs
}

func rttJobs(size int) []job {
	return []job{{Role: "echo", Port: 2, Size: size}, {Role: "ping", Port: 1, Size: size, Dst: []int{2}}}
}

// vlanScenario: untagged ports against an access port and a trunk, where every frame gains or loses a tag.
func vlanScenario(p *peer, s settings) *scenario {
	const size, tag = 64, 4
	recv, send := job{Role: "recv", Port: 2, Size: size}, job{Role: "send", Port: 1, Size: size, Batch: 64, Dst: []int{2}}
	tagged := func(j job) job {
		j.Size, j.VID = size+tag, accessVLAN
		return j
	}
	with := func(name string, doors map[int]string, recv, send job) cell {
		return cell{name: name, peer: p, plan: &plan{jobs: []job{recv, send}, doors: doors, dur: s.dur}}
	}
	list := []cell{
		with("untagged", nil, recv, send),
		with("access>trunk", map[int]string{1: doorAccess, 2: doorTrunk}, tagged(recv), send),
	}
	if !s.quick {
		list = append(list,
			with("trunk>access", map[int]string{1: doorTrunk, 2: doorAccess}, recv, tagged(send)),
			with("trunk>trunk", map[int]string{1: doorTrunk, 2: doorTrunk}, tagged(recv), tagged(send)))
	}
	return &scenario{name: "vlan/64/64", quick: true, base: "untagged", cells: list}
}

// neighbourScenario: does a busy pair pay for ports that are only plugged in?
func neighbourScenario(p *peer, s settings) *scenario {
	with := append([]job{herdOf(64, "idle")}, pairJobs(1, 64, 64)...)
	return &scenario{name: "neighbours/64/64", quick: true, base: "alone", reps: s.twice(), cells: []cell{
		{name: "alone", peer: p, plan: &plan{jobs: pairJobs(1, 64, 64), dur: s.dur}},
		{name: "64 idle ports", peer: p, plan: &plan{jobs: with, dur: s.dur}},
	}}
}

const herdPort = 100

func herdOf(ports int, mode string) job {
	return job{Role: "herd", Port: herdPort, Size: 64, Herd: herdJob{Ports: ports, Mode: mode}}
}
