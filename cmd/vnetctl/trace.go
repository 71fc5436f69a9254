package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

func (a *app) traceCommand() *cobra.Command {
	var inject bool
	cmd := &cobra.Command{
		Use:   "trace PORT FRAME",
		Short: "Tell where a frame would go, and why",
		Long: `Tell what would become of a frame if it came in by PORT: each decision in the
order in which the switch takes them, in words, and the outcome. The switch
answers with the very code that forwards frames, but sends and learns nothing;
with --inject the frame does come in.

FRAME is one of

  ffffffffffff525400...        hex digits; colons, dashes and spaces between them do not matter
  FILE.pcapng:N                frame N, from 1, of a pcap or pcapng file
  fields                       what matters; the rest is made up, checksums too

Fields: src=MAC dst=MAC (broadcast)  vlan=N prio=N (a tag)  len=N (bytes in all)
        type=0xNNNN  or one of  arp ip ip6 tcp udp icmp
        sip=ADDR dip=ADDR sport=N dport=N`,
		Example: `  vnetctl trace vm1 dst=52:54:00:12:34:56 vlan=10
  vnetctl trace vm1 arp sip=10.0.0.1 dip=10.0.0.2
  vnetctl trace vm1 tcp dst=52:54:00:12:34:56 dip=10.0.0.2 dport=80 len=1514
  vnetctl trace vm1 capture.pcapng:17 --inject`,
		Args: arguments(2, many, "a port by number or name, and a frame: hex, FILE:N or fields such as dst=52:54:00:12:34:56 arp"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completePorts(cmd, args, word)
			}
			return frameFields, cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := parseFrame(args[1:])
			if err != nil {
				return err
			}
			return cannot(a.trace(cmd.Context(), args[0], f, inject), "trace a frame from %s", args[0])
		},
	}
	cmd.Flags().BoolVar(&inject, "inject", false, "have the frame really come in")
	return cmd
}

func (a *app) trace(ctx context.Context, port string, f frame.Frame, inject bool) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ask := c.Trace
	if inject {
		ask = c.Inject
	}
	t, err := ask(ctx, port, f)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(t)
	}
	fmt.Fprintf(a.out, "%-12s %s\n", "frame:", frameText(f))
	for _, step := range t.Steps {
		fmt.Fprintf(a.out, "%-12s %s\n", printable(step.Stage)+":", printable(step.Text))
	}
	verb := ""
	if inject {
		verb = "injected; "
	}
	fmt.Fprintf(a.out, "%-12s %s%s\n", "outcome:", verb, printable(outcome(&t)))
	return nil
}

// frameText is a frame on one line.
func frameText(f frame.Frame) string {
	if len(f) < frame.HeaderLen {
		return fmt.Sprintf("%d bytes: % x", len(f), []byte(f))
	}
	text := fmt.Sprintf("%v to %v, type 0x%04x", f.Src(), f.Dst(), f.Type())
	if tci, ok := f.Tag(); ok {
		text += fmt.Sprintf(", VLAN %d, priority %d", tci&0xfff, tci>>13)
	}
	return text + fmt.Sprintf(", %d bytes", len(f))
}

// outcome says who gets the frame.
func outcome(t *api.Trace) string {
	var to, mirrors, not []string
	for _, r := range t.Receivers {
		name := fmt.Sprintf("%s (%d)", r.Name, r.Port)
		switch {
		case r.Drop != "":
			not = append(not, name+": "+r.Drop)
		case r.Mirror:
			mirrors = append(mirrors, name)
		default:
			to = append(to, name)
		}
	}
	text := map[string]string{api.OutcomeUnicast: "goes to ", api.OutcomeFlood: "flooded to "}[t.Outcome]
	switch {
	case t.Outcome == api.OutcomeDrop:
		text = "dropped (" + t.Reason + ")"
	case t.Outcome == api.OutcomeTrap:
		text = "taken by the switch"
	case len(to) == 0:
		text += "nobody"
	default:
		text += strings.Join(to, ", ")
	}
	if len(mirrors) > 0 {
		text += "; mirrored to " + strings.Join(mirrors, ", ")
	}
	if len(not) > 0 {
		text += "; not to " + strings.Join(not, ", ")
	}
	return text
}
