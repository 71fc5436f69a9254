//go:build linux

package main

import (
	"fmt"
	"path/filepath"
)

// vdeScenarios ask what the VDE door is worth: the same clients, which speak libvdeplug's protocol, on vswitch, on
// vde_switch and on the copy-only limit.
func vdeScenarios(peers []*peer, s settings) []*scenario {
	peers = vdePeers(peers)
	var list []*scenario
	for _, size := range []int{64, 1514} {
		for _, batch := range []int{1, 64} {
			list = append(list, &scenario{name: fmt.Sprintf("vde/%d/%d", size, batch), quick: batch == 1,
				cells: cells(peers, &plan{jobs: pairJobs(1, size, batch), dur: s.dur})})
		}
	}
	for _, p := range peers {
		if p.managed {
			list = append(list, stuckScenario(p, s, "vdestuck/paced", 20_000))
			list = append(list, vdeManageScenarios(p, s)...)
		}
	}
	return append(list,
		&scenario{name: "vdeflood8/64/64", reps: atMost(3), cells: cells(peers, &plan{jobs: floodJobs(8, 64, 64), dur: s.dur})},
		&scenario{name: "vdertt/64", table: tableRTT, reps: s.twice(), cells: cells(peers, &plan{jobs: rttJobs(64), dur: s.dur})})
}

// vdePeers are those of peers that have such a door, with their clients on it.
func vdePeers(peers []*peer) []*peer {
	var list []*peer
	for _, p := range peers {
		q := *p
		switch {
		case p.name == self:
			q.start = func(b *bed, pl *plan) (*running, error) { return atVDEDoor(p, b, pl) }
		case p.name == "copy":
			q.start = startDgramCopy
		case p.name != "vde_switch":
			continue
		}
		q.maxSize = 1514
		list = append(list, &q)
	}
	return list
}

// atVDEDoor is a running vswitch whose clients plug in at DIR/ctl.
func atVDEDoor(p *peer, b *bed, pl *plan) (*running, error) {
	run, err := p.start(b, pl)
	if err != nil {
		return nil, err
	}
	dir := linkSpec{Kind: "vde", Addr: filepath.Join(b.dir, "sw")}
	run.link = func(int) linkSpec { return dir }
	return run, nil
}

// vdeTargets are lines of targetTable.
func vdeTargets() []target {
	var list []target
	for _, size := range []int{64, 1514} {
		one := fmt.Sprintf("vde/%d/1", size)
		list = append(list,
			target{fmt.Sprintf("VDE door, %d B, 1 per call: x vde_switch", size), 1.3, true,
				func(r *results) float64 { return r.ratio(one, self, "vde_switch", mFPS) }, one},
			target{fmt.Sprintf("VDE door, %d B, 1 per call: CPU per frame x vde_switch", size), 0.65, false,
				func(r *results) float64 { return r.ratio(one, self, "vde_switch", mCPU) }, one},
			target{fmt.Sprintf("VDE door, %d B, 1 per call: x copy-only limit", size), 0.9, true,
				func(r *results) float64 { return r.ratio(one, self, "copy", mFPS) }, one})
	}
	return append(list, vdeManageTargets()...)
}
