//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	runtime.LockOSThread() // children die with the thread that started them
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// subcommands are what the bench starts of itself.
var subcommands = map[string]func(string) error{"worker": runWorker, "copy": runCopy, "dgramcopy": runDgramCopy, "netns": runNetns, "hold": runHold}

type options struct {
	settings
	vswitch   string
	peers     []string
	extra     []string
	filter    string
	count     int
	pin       bool
	list      bool
	check     bool
	jsonFile  string
	hold      time.Duration
	verbose   bool
	arguments []string
}

func run(args []string) error {
	if len(args) == 2 && subcommands[args[0]] != nil {
		return subcommands[args[0]](args[1])
	}
	o, err := parse(args)
	if err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	peers, err := o.selectPeers()
	if err != nil {
		return err
	}
	list, err := o.selectScenarios(peers)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range list {
			for _, c := range s.cells {
				fmt.Printf("%-20s %s\n", s.name, c.name)
			}
		}
		return nil
	}
	b, err := newBed(o.pin)
	if err != nil {
		return err
	}
	defer b.close()
	if o.hold > 0 {
		return holdOne(b, list[0], o.hold)
	}
	r := runAll(b, list, o)
	printReport(os.Stdout, list, r)
	if o.jsonFile != "" {
		if err := r.writeJSON(o.jsonFile, o.arguments); err != nil {
			return err
		}
	}
	if len(r.errors()) > 0 {
		return fmt.Errorf("%d measurements failed", len(r.errors()))
	}
	if missed := countMissed(r); o.check && missed > 0 {
		return fmt.Errorf("%d targets missed", missed)
	}
	return nil
}

func parse(args []string) (*options, error) {
	o := &options{arguments: args}
	f := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&o.vswitch, "vswitch", "bin/vswitch", "program under test")
	f.StringVar(&o.filter, "filter", "", "only scenarios whose name matches this regular expression")
	f.StringSliceVar(&o.peers, "peers", nil, "only these switches (vswitch, copy, vde_switch, bridge; direct: no switch at all)")
	f.IntVar(&o.count, "count", 5, "repetitions")
	f.DurationVar(&o.dur, "duration", 1500*time.Millisecond, "length of one measurement")
	f.BoolVar(&o.quick, "quick", false, "about two minutes: what the targets need, three short repetitions")
	f.BoolVar(&o.long, "long", false, "a minute instead of seconds beside a port that never reads")
	f.BoolVar(&o.pin, "pin", false, "switch on CPU 0, clients on the others")
	f.StringVar(&o.jsonFile, "json", "", "write all samples to this `file`")
	f.BoolVar(&o.check, "check", false, "exit 1 when a target is missed")
	f.DurationVar(&o.hold, "hold", 0, "keep the first matching scenario running this long on the first switch and print its pid")
	f.BoolVar(&o.list, "list", false, "list the scenarios and stop")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every sample")
	f.StringArrayVar(&o.extra, "peer", nil, "one more switch: name=command, which listens on the stream socket {path}")
	f.MarkHidden("peer")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.count < 1 || o.dur <= 0 {
		return nil, fmt.Errorf("--count and --duration must be positive")
	}
	if o.quick {
		if !f.Changed("count") {
			o.count = 3
		}
		if !f.Changed("duration") {
			o.dur = 400 * time.Millisecond
		}
		if !f.Changed("peers") {
			o.peers = []string{"vswitch", "copy", "vde_switch"}
			for _, e := range o.extra {
				name, _, _ := strings.Cut(e, "=")
				o.peers = append(o.peers, name)
			}
		}
	}
	return o, nil
}

// selectPeers leaves out what was not asked for, and what cannot run here with a word on it.
func (o *options) selectPeers() ([]*peer, error) {
	all, err := peerTable(o.vswitch, o.extra)
	if err != nil {
		return nil, err
	}
	for _, name := range o.peers {
		if !slices.ContainsFunc(all, func(p *peer) bool { return p.name == name }) {
			return nil, fmt.Errorf("--peers: no switch is called %q", name)
		}
	}
	var use []*peer
	for _, p := range all {
		if len(o.peers) > 0 && !slices.Contains(o.peers, p.name) || len(o.peers) == 0 && p.asked {
			continue
		}
		if p.missing != nil {
			if why := p.missing(); why != "" {
				fmt.Fprintf(os.Stderr, "bench: without %s: %s\n", p.name, why)
				continue
			}
		}
		use = append(use, p)
	}
	if len(use) == 0 {
		return nil, fmt.Errorf("no switch to measure")
	}
	return use, nil
}

// hostScenarios are not for a quick run, nor for one of some switches only.
func (o *options) hostScenarios() []*scenario {
	if o.quick || len(o.peers) > 0 {
		return nil
	}
	return append(hostScenarios(o.vswitch, o.settings), vhostScenarios(o.vswitch, o.settings)...)
}

func (o *options) selectScenarios(peers []*peer) ([]*scenario, error) {
	re, err := regexp.Compile(o.filter)
	if err != nil {
		return nil, fmt.Errorf("--filter: %w", err)
	}
	list := slices.DeleteFunc(append(allScenarios(peers, o.settings), o.hostScenarios()...), func(s *scenario) bool { return len(s.cells) == 0 || !re.MatchString(s.name) })
	if len(list) == 0 {
		return nil, fmt.Errorf("no scenario matches %q (see --list)", o.filter)
	}
	return list, nil
}
