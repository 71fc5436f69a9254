package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// drawings are the values of graph --format.
var drawings = map[string]func(io.Writer, graph) error{
	"text": func(w io.Writer, g graph) error { return g.text(w, unicodeLocale()) },
	"dot":  func(w io.Writer, g graph) error { return g.dot(w) },
	"svg":  func(w io.Writer, g graph) error { return g.svg(w) },
}

func (a *app) graphCommand() *cobra.Command {
	var format string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Draw switches, their ports and who is plugged in",
		Long: `Draw switches, their ports and who is plugged in, with VLANs and rates: in
letters, as a picture (SVG), or for Graphviz (DOT). Without -s all switches of
this host are drawn; a port whose other end is another of them leads there.

Rates are what went through during --interval; with --interval 0 there are none.`,
		Example: `  vnetctl graph
  vnetctl graph --format svg > net.svg
  vnetctl -s lab graph --format dot | dot -Tpdf > lab.pdf`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			draw := drawings[format]
			switch {
			case draw == nil:
				e := usage("graph: there is no format %q", format)
				e.cause, e.cure = "the formats are "+strings.Join(sortedKeys(drawings), ", "), "vnetctl graph --format svg"
				if near := api.Nearest(format, sortedKeys(drawings)); near != "" {
					e.cause = fmt.Sprintf("did you mean %q?", near)
				}
				return e
			case interval < 0:
				return usage("graph: --interval %v is before now", interval)
			}
			g, err := a.graph(cmd.Context(), interval)
			switch {
			case err != nil:
				return cannot(err, "draw switches")
			case a.json:
				return a.printJSON(g)
			case len(g.Switches) == 0:
				fmt.Fprintln(a.err, "vnetctl: no switch runs on this host, as far as you may see; start one with: vswitch")
			}
			return draw(a.out, g)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", strings.Join(sortedKeys(drawings), ", "))
	cmd.Flags().DurationVar(&interval, "interval", 200*time.Millisecond, "time over which to count frames; 0: no rates")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(sortedKeys(drawings), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// graph is what there is to draw, and what graph --json prints.
type graph struct {
	Switches []graphSwitch `json:"switches"`
}

// graphSwitch is a switch and its ports.
type graphSwitch struct {
	Dir   string      `json:"dir"`
	Info  api.Info    `json:"info"`
	Ports []graphPort `json:"ports"`
}

// graphPort is a port, and what is at its other end.
type graphPort struct {
	api.Port
	Rate *client.Rate `json:"rate,omitempty"` // absent: not measured
	Far  *graphFar    `json:"far,omitempty"`  // another of the switches
}

// graphFar is a port of another switch.
type graphFar struct {
	Dir  string `json:"dir"`
	Name string `json:"name"` // of the switch
	Port string `json:"port"` // its name

	blocked bool // there, by the spanning tree
}

// graph looks at one switch, or at all.
func (a *app) graph(ctx context.Context, interval time.Duration) (graph, error) {
	g := graph{Switches: []graphSwitch{}}
	if a.where != "" {
		c, err := a.dial()
		if err != nil {
			return g, err
		}
		defer c.Close()
		s, err := look(ctx, c, interval)
		g.Switches = append(g.Switches, s)
		return g, err
	}
	found := client.Find(ctx)
	seen := make([]*graphSwitch, len(found))
	var wait sync.WaitGroup
	for i, f := range found {
		wait.Go(func() {
			c, err := client.Dial(f.Dir)
			if f.Err != nil || err != nil {
				return // list says why
			}
			defer c.Close()
			c.Timeout = a.timeout
			if s, err := look(ctx, c, interval); err == nil {
				seen[i] = &s
			}
		})
	}
	wait.Wait()
	for _, s := range seen {
		if s != nil {
			g.Switches = append(g.Switches, *s)
		}
	}
	g.connect()
	return g, ctx.Err()
}

// look asks one switch.
func look(ctx context.Context, c *client.Client, interval time.Duration) (s graphSwitch, err error) {
	s.Dir, s.Ports = c.Dir(), []graphPort{}
	var rates client.Rates
	if interval > 0 {
		if rates, err = readRates(ctx, c, interval); err != nil {
			return s, err
		}
	}
	if s.Info, err = c.Info(ctx); err != nil {
		return s, err
	}
	ports, err := c.Ports(ctx)
	for _, p := range ports {
		gp := graphPort{Port: p}
		if r, ok := rates.Ports[p.ID]; ok {
			gp.Rate = &r
		}
		s.Ports = append(s.Ports, gp)
	}
	return s, err
}

// connect finds the ports that lead to another of the switches: the process at
// the other end is that switch's, and it has a port that leads back. Switches
// that share a process cannot be told apart, and are left alone.
func (g *graph) connect() {
	byPID := map[int][]int{}
	for i, s := range g.Switches {
		byPID[s.Info.PID] = append(byPID[s.Info.PID], i)
	}
	for i := range g.Switches {
		next := map[int]int{} // by switch: its ports before this lead to ports of ours before
		for j := range g.Switches[i].Ports {
			p := &g.Switches[i].Ports[j]
			if p.Peer == nil || p.Peer.PID == 0 || len(byPID[p.Peer.PID]) != 1 || len(byPID[g.Switches[i].Info.PID]) != 1 {
				continue
			}
			to := byPID[p.Peer.PID][0]
			far := &g.Switches[to]
			back := slices.IndexFunc(far.Ports[min(next[to], len(far.Ports)):], func(q graphPort) bool {
				return to != i && q.Peer != nil && q.Peer.PID == g.Switches[i].Info.PID
			})
			if back < 0 {
				continue
			}
			there := &far.Ports[next[to]+back]
			p.Far = &graphFar{far.Dir, far.Info.Name, there.Name, there.blocked()}
			next[to] += back + 1
		}
	}
}

// far is who is at the other end of p, in words.
func (p *graphPort) far() string {
	switch {
	case p.Far != nil:
		return "switch " + p.Far.Name + ", port " + p.Far.Port
	case p.Peer != nil:
		return peerText(p.Port)
	case p.Reason != "":
		return "nobody: " + p.Reason
	}
	return "nobody"
}

// membership is p's VLANs, and its place in the spanning tree, in words.
func (p *graphPort) membership() string {
	text := "vlan " + nativeText(p.Port)
	switch {
	case showsMirror(p.Port):
		return "shows " + p.Mirror
	case p.Transparent:
		text += ", transparent"
	case p.Tagged != "none" && p.Tagged != "":
		text += ", tagged " + p.Tagged
	}
	if tree := p.tree(); tree != "" {
		text += ", " + tree
	}
	return text
}

// broken tells whether nothing gets through p's cable in its own VLAN, from
// what is known of both ends.
func (p *graphPort) broken() bool {
	return p.State != api.StateUp || p.blocked() || p.Far != nil && p.Far.blocked
}

// blocked tells whether the spanning tree lets nothing through p's own VLAN.
func (p *graphPort) blocked() bool {
	return p.State == api.StateUp && p.STP != nil && p.STP.State == "discarding"
}

// tree is p's place in the spanning tree, where there is something to say
// about it, in words.
func (p *graphPort) tree() string {
	t := p.STP
	switch {
	case t == nil || p.State != api.StateUp:
		return ""
	case t.Guarded:
		return "blocked by root guard"
	case t.State == "learning":
		return "learning"
	case p.blocked():
		return "blocked: " + t.Role
	case t.Blocked > 0:
		return fmt.Sprintf("blocked in %d trees", t.Blocked)
	case t.Role == "root":
		return "way to the root"
	}
	return ""
}

// rates is what goes through p, in words.
func (p *graphPort) rates() string {
	if p.Rate == nil {
		return ""
	}
	text := fmt.Sprintf("in %s/s %sbit/s, out %s/s %sbit/s", human(p.Rate.RxFrames), human(p.Rate.RxBits), human(p.Rate.TxFrames), human(p.Rate.TxBits))
	if p.Rate.Drops > 0 {
		text += fmt.Sprintf(", drops %s/s", human(p.Rate.Drops))
	}
	return text
}

// title is a switch in words.
func (s *graphSwitch) title() string {
	up := 0
	for _, p := range s.Ports {
		if p.State == api.StateUp {
			up++
		}
	}
	return fmt.Sprintf("%s  pid %d  %d of %d ports up  %d addresses", s.Dir, s.Info.PID, up, len(s.Ports), s.Info.FDB.Entries)
}

// unicodeLocale tells whether the user's terminal knows more than ASCII.
func unicodeLocale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(strings.ReplaceAll(v, "-", ""))
			return strings.Contains(v, "utf8")
		}
	}
	return false
}
