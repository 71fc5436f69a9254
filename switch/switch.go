package vswitch

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/fdb"
)

// Switch is a learning Ethernet switch. Its methods are safe for concurrent
// use; those that change something return when the change is in force.
type Switch struct {
	opt     Options
	log     *slog.Logger
	started time.Time
	fdb     *fdb.Table
	ips     ipTable
	workers []*worker
	events  eventLog
	done    chan struct{}  // closed by Close
	tending sync.WaitGroup // goroutines of doors, ports and the sweeper

	applying sync.Mutex // held by Apply

	top atomic.Pointer[topology] // stored with mu held

	mu       sync.Mutex
	ports    map[int]*Port    // guarded by mu
	names    map[string]*Port // guarded by mu; given names only
	free     int              // guarded by mu: no number from 1 up to here is free
	maxPort  int              // guarded by mu: highest port number
	doors    []*door          // guarded by mu
	captures []*Capture       // guarded by mu
	ageing   time.Duration    // guarded by mu
	defaults PortConfig       // guarded by mu: settings of ports whose spec says nothing
	span     *spanning        // static; guarded by mu inside
	loops    map[[2]int]Loop  // guarded by mu: by the numbers of their ports
	closed   bool             // guarded by mu
}

// New makes a switch without ports and starts its workers. Close stops it.
func New(opt Options) (*Switch, error) {
	if opt.Ageing == 0 {
		opt.Ageing = defaultAgeing
	}
	if opt.FDBSize == 0 {
		opt.FDBSize = defaultFDB
	}
	if opt.MaxPort == 0 {
		opt.MaxPort = MaxPorts
	}
	if opt.Workers <= 0 {
		opt.Workers = defaultWorkers()
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if err := CheckAgeing(opt.Ageing); err != nil {
		return nil, err
	}
	if opt.FDBSize < 1 || opt.FDBSize > MaxFDBSize {
		return nil, fmt.Errorf("%w: forwarding table of %d entries: want 1 to %d", ErrInvalid, opt.FDBSize, MaxFDBSize)
	}
	if err := checkMaxPort(opt.MaxPort); err != nil {
		return nil, err
	}
	if err := opt.Default.validateDefault(); err != nil {
		return nil, err
	}
	opt.STP = opt.STP.withDefaults()
	if err := opt.STP.validate(opt.Hub); err != nil {
		return nil, err
	}
	s := &Switch{
		opt:      opt,
		log:      opt.Log,
		started:  time.Now(),
		fdb:      fdb.New(opt.FDBSize, opt.Ageing),
		done:     make(chan struct{}),
		ports:    map[int]*Port{},
		names:    map[string]*Port{},
		free:     1,
		maxPort:  opt.MaxPort,
		ageing:   opt.Ageing,
		defaults: opt.Default,
		loops:    map[[2]int]Loop{},
	}
	s.span = newSpanning(s, opt.STP)
	s.top.Store(&topology{hub: opt.Hub})
	for range opt.Workers {
		w, err := newWorker(s)
		if err != nil {
			s.stopWorkers()
			return nil, fmt.Errorf("start worker: %w", err)
		}
		s.workers = append(s.workers, w)
		go w.run()
	}
	s.tending.Add(2)
	go s.sweep()
	go s.watchLoops()
	return s, nil
}

// defaultWorkers leaves half of the machine to the VMs.
func defaultWorkers() int { return max(1, min(runtime.NumCPU()/2, 8)) }

// CheckAgeing fails if a switch cannot have an ageing time.
func CheckAgeing(d time.Duration) error {
	if d < MinAgeing || d > MaxAgeing || d%time.Second != 0 {
		return fmt.Errorf("%w: ageing time %v: want whole seconds from %v to %d s", ErrInvalid, d, MinAgeing, MaxAgeing/time.Second)
	}
	return nil
}

// Close unplugs every port, closes every door and stops the workers.
func (s *Switch) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	close(s.done)
	doors := s.doors
	s.doors = nil
	var ports []*Port
	for _, p := range s.ports {
		ports = append(ports, p)
	}
	s.mu.Unlock()
	for _, d := range doors {
		d.close()
	}
	for _, p := range ports {
		s.unplugAll(p, ErrClosed)
	}
	s.tending.Wait()
	s.stopWorkers()
	return nil
}

func (s *Switch) stopWorkers() {
	for _, w := range s.workers {
		w.stop()
	}
}

// sweep gives back the slots of addresses that have aged. They are not found
// from the second they are too old; there is no hurry.
func (s *Switch) sweep() {
	defer s.tending.Done()
	const often = 30 * time.Second
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.fdb.Sweep(s.seconds())
		case <-s.done:
			return
		}
	}
}

// Info is the switch as it is now.
func (s *Switch) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := Info{
		Started:   s.started,
		Ports:     len(s.ports),
		Ageing:    s.ageing,
		Hub:       s.top.Load().hub,
		MaxPort:   s.maxPort,
		Default:   s.defaults,
		Workers:   len(s.workers),
		FDBSize:   s.fdb.Len(),
		FDBCap:    s.fdb.Cap(),
		Unlearned: s.fdb.Unlearned(),
		Captures:  len(s.captures),
		EventSeq:  s.events.last(),
		STP:       s.span.cfg,
		Loops:     s.currentLoops(),
	}
	for _, d := range s.doors {
		if d.listening() {
			i.Doors = append(i.Doors, d.info())
		}
	}
	return i
}
