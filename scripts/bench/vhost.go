//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What a switch does for guests that share their memory with it: two cards of DPDK's testpmd, which forwards everything
// from one to the other, so that some frames go round for ever. testpmd has one CPU and the switch has the other. A
// frame counts each time that it passes the switch.

// vhostTraffic is what goes round.
type vhostTraffic struct {
	size    int
	noMerge bool // buffers that hold a whole frame
	packed  bool // packed rings
	inOrder bool // buffers are used in the order in which they were offered
	queues  int
	dur     time.Duration
}

// name is the scenario's.
func (v vhostTraffic) name() string {
	s := fmt.Sprintf("vhost/%d", v.size)
	for _, o := range []struct {
		on   bool
		name string
	}{{v.noMerge, "nomerge"}, {v.packed, "packed"}, {v.inOrder, "inorder"}, {v.queues > 1, "2queues"}} {
		if o.on {
			s += "/" + o.name
		}
	}
	return s
}

// vhostPeer is a switch, or something less, that serves two sockets.
type vhostPeer struct {
	name    string
	missing func() string // why it is not here; "" when it is
	some    bool          // it runs in some scenarios only
	start   func(b *bed, v vhostTraffic) (vhostRunning, error)
}

// vhostRunning is a started vhostPeer.
type vhostRunning struct {
	proc  *process   // whose CPU time counts
	paths [2]string  // where the cards plug in
	procs []*process // all that is to be stopped, in the order in which it started
}

func (r vhostRunning) stop() {
	for i := len(r.procs) - 1; i >= 0; i-- {
		r.procs[i].stop()
	}
}

const dpdkOnly = "testpmd" // forwards from one port to the other and looks at nothing

func vhostPeers(vswitch string) []vhostPeer {
	return []vhostPeer{
		{name: self, start: func(b *bed, v vhostTraffic) (vhostRunning, error) { return startVhostSwitch(b, vswitch, v) }},
		{name: dpdkOnly, start: startForwarder},
		{name: ovsDPDK, missing: noOVSDPDK, some: true, start: startOVSDPDK},
	}
}

// vhostScenarios of loops have no cells where there is no DPDK.
func vhostScenarios(vswitch string, s settings) []*scenario {
	list := append(guestScenarios(vswitch), idleScenario(vswitch, s))
	peers := vhostPeers(vswitch)
	if notInstalled(testpmd, "dpdk-dev")() != "" {
		peers = nil
	}
	peers = slices.DeleteFunc(peers, func(p vhostPeer) bool {
		if p.missing == nil || p.missing() == "" {
			return false
		}
		fmt.Fprintf(os.Stderr, "bench: without %s: %s\n", p.name, p.missing())
		return true
	})
	for _, v := range []vhostTraffic{
		{size: 64}, {size: 512}, {size: 1514}, {size: 9014},
		{size: 64, noMerge: true}, {size: 1514, noMerge: true},
		{size: 64, packed: true}, {size: 1514, packed: true},
		{size: 64, inOrder: true}, {size: 64, packed: true, inOrder: true},
		{size: 64, queues: 2}, {size: 1514, queues: 2},
	} {
		v.dur, v.queues = s.dur, max(1, v.queues)
		sc := &scenario{name: v.name(), base: dpdkOnly, reps: secondary(v != vhostTraffic{size: 64, queues: 1, dur: s.dur} && v != vhostTraffic{size: 1514, queues: 1, dur: s.dur})}
		for _, p := range peers {
			if p.some && v != (vhostTraffic{size: v.size, queues: 1, dur: s.dur}) {
				continue
			}
			sc.cells = append(sc.cells, cell{name: p.name, peer: &peer{name: p.name}, direct: func(b *bed) (values, error) { return v.measure(b, p) }})
		}
		list = append(list, sc)
	}
	return list
}

// vhostTargets are lines of targetTable.
func vhostTargets() []target {
	fps := func(scenario, b string) func(*results) float64 {
		return func(r *results) float64 { return r.ratio(scenario, self, b, mFPS) }
	}
	middle := func(metric string) func(*results) float64 {
		return func(r *results) float64 { return r.sum("idlevhost16", "16 guests, then one frame", metric).mid }
	}
	return append(guestTargets(), []target{
		{"16 idle guests by vhost-user: CPU %", 0.1, false, middle(mCPUPct), "idlevhost16"},
		{"16 idle guests by vhost-user: first frame after that, p50 us", 100, false, middle(mP50), "idlevhost16"},
		{"vhost-user, 64 B: x testpmd, which only forwards", 0.8, true, fps("vhost/64", dpdkOnly), "vhost/64"},
		{"vhost-user, 64 B: x one PMD of OVS-DPDK", 1.3, true, fps("vhost/64", ovsDPDK), "vhost/64"},
		{"vhost-user, 1514 B: x one PMD of OVS-DPDK", 1.8, true, fps("vhost/1514", ovsDPDK), "vhost/1514"},
	}...)
}

func startVhostSwitch(b *bed, program string, v vhostTraffic) (vhostRunning, error) {
	run := vhostRunning{paths: [2]string{filepath.Join(b.dir, "v0"), filepath.Join(b.dir, "v1")}}
	args := []string{"-q", "-s", filepath.Join(b.dir, "sw")}
	for _, p := range run.paths {
		args = append(args, "--port", fmt.Sprintf("vhost-user:%s,packed=on,queues=%d", p, v.queues))
	}
	p, err := startOn(b, "vswitch", exec.Command(program, args...), 0)
	if err != nil {
		return run, err
	}
	run.proc, run.procs = p, []*process{p}
	return run, awaitFiles(p, run.paths[:]...)
}

// measure has frames go round through a fresh switch.
func (v vhostTraffic) measure(b *bed, p vhostPeer) (values, error) {
	run, err := p.start(b, v)
	defer b.sweep()
	defer run.stop()
	if err != nil {
		return nil, err
	}
	pmd, err := startTestpmd(b, v, run.paths)
	if err != nil {
		return nil, err
	}
	defer pmd.stop()
	time.Sleep(defaultWarm)
	cpu, err := cpuTime(run.proc.pid())
	if err != nil {
		return nil, err
	}
	first, err := pmd.received()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	time.Sleep(v.dur)
	last, err := pmd.received()
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(begun)
	after, err := cpuTime(run.proc.pid())
	if err != nil {
		return nil, err
	}
	frames := last - first
	if frames == 0 {
		return nil, fmt.Errorf("no frame came back: %s", strings.TrimSpace(run.proc.stderr.String()))
	}
	rate := frames / elapsed.Seconds()
	return values{mFPS: rate, mGbps: rate * float64(v.size) * 8 / 1e9, mCPU: float64(after-cpu) / frames}, nil
}
