package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/filter"
)

// captureFlags are the flags and arguments of capture.
type captureFlags struct {
	api.CaptureRequest
	file   string // "" and "-": standard output
	rotate string
	count  uint64
}

func (a *app) captureCommand() *cobra.Command {
	var f captureFlags
	cmd := &cobra.Command{
		Use:   "capture [HOST:NAME] PORT...|all [FILTER...]",
		Short: "Capture frames for Wireshark",
		Long: `Capture frames of ports, in both directions, as pcapng: to standard output, or
with -w to a file. It goes on until interrupted, or for -c frames.

Each port is an interface of the capture. A frame that the switch dropped is in
it too, with the reason as its comment. Who reads slowly loses frames, and the
capture says how many; the switch never waits.

FILTER is in tcpdump's language; VLAN tags are looked through:

  ether host|src|dst MAC   ether broadcast|multicast   ether proto 0xNNNN
  vlan [N]   arp   ip   ip6   tcp   udp   sctp   icmp   icmp6   proto N
  [src|dst] host A   [src|dst] net A/LEN   [src|dst] port N or N-M
  less N   greater N   not X   X and Y   X or Y   ( X )

It begins at the first argument that is one of these words. A port that is
called like one of them goes before a --, and the filter behind it.

--rotate SIZE[,COUNT] begins a new file when FILE would exceed SIZE, and keeps
COUNT files (5): cap.pcapng is the latest, then cap.1.pcapng and so on.`,
		Example: `  vnetctl capture all | wireshark -k -i -
  vnetctl capture vm1 vm2 tcp port 80 -w web.pcapng
  vnetctl capture vm1 -c 100 --snap 128 'not (arp or ip6)' | tshark -r -
  vnetctl capture node1:lab vm1 | wireshark -k -i -
  vnetctl capture all -w /var/tmp/cap.pcapng --rotate 100MB,10`,
		Args:              arguments(1, many, "ports by number or name, or all, and then perhaps a filter"),
		ValidArgsFunction: a.completePorts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.split(args, cmd.ArgsLenAtDash()); err != nil {
				return err
			}
			return a.capture(cmd.Context(), &f)
		},
	}
	cmd.Flags().StringVarP(&f.file, "write", "w", "", "write to `FILE`")
	cmd.Flags().StringVar(&f.rotate, "rotate", "", "with -w: `SIZE[,COUNT]` of files, such as 100MB,5")
	cmd.Flags().Uint64VarP(&f.count, "count", "c", 0, "end after this many frames")
	cmd.Flags().IntVar(&f.Snap, "snap", 0, "keep only so many bytes of each frame")
	return cmd
}

// split divides arguments into ports and filter, at dash if there is one.
func (f *captureFlags) split(args []string, dash int) error {
	n := dash
	if n < 0 {
		n = slices.IndexFunc(args, func(arg string) bool {
			word, _, _ := strings.Cut(strings.TrimSpace(arg), " ")
			return filter.Begins(word)
		})
	}
	if n < 0 {
		n = len(args)
	}
	f.Ports, f.Filter = args[:n], strings.Join(args[n:], " ")
	if n == 0 {
		e := usage("capture: no port is given")
		e.cause = fmt.Sprintf("%q begins the filter already", args[0])
		e.cure = "vnetctl capture all " + f.Filter
		return e
	}
	if slices.Contains(f.Ports, "all") {
		f.Ports = nil
	}
	if f.Filter == "" {
		return nil
	}
	_, err := filter.Parse(f.Filter)
	var bad *filter.SyntaxError
	if errors.As(err, &bad) {
		e := usage("capture: the filter makes no sense")
		e.place, e.cause, e.cure = bad.Caret(), bad.Problem, bad.Hint
		if e.cure == "" {
			e.cure = "vnetctl capture --help"
		}
		return e
	}
	return err
}

// captured is what a capture brought.
type captured struct {
	Frames uint64   `json:"frames"` // captured and written
	Lost   uint64   `json:"lost"`   // because the reader was too slow
	Files  []string `json:"files"`  // that there are now, the latest first; none: standard output
}

func (a *app) capture(ctx context.Context, f *captureFlags) error {
	sink, err := a.newSink(f)
	if err != nil {
		return err
	}
	c, err := a.dial()
	if err != nil {
		return cannot(err, "capture")
	}
	defer c.Close()
	body, err := a.beginCapture(ctx, c, f.CaptureRequest)
	var typed *api.Error
	if errors.As(err, &typed) && typed.Code == api.ErrForbidden {
		typed.Message += "; frames are private, so capturing takes the right to change"
	}
	if err != nil {
		return cannot(err, "capture")
	}
	defer body.Close()
	if sink.path != "" { // not before: a file that is there is worth more than no capture
		if err := sink.open(); err != nil {
			return explainSink(err, f.file)
		}
	}
	lost, err := pump(capture.NewBlockReader(body), sink, f.count)
	if closed := sink.close(); closed != nil {
		err = closed // a disk that is full matters more than how it ended
	}
	sum := captured{Frames: sink.frames, Files: sink.files()}
	for _, n := range lost {
		sum.Lost += n
	}
	a.sumUp(sum)
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, api.ErrClosed)) {
		return nil // interrupting is how one ends it
	}
	return explainSink(err, f.file)
}

// beginCapture begins a capture that goes on for a moment when ctx ends: what
// the switch has captured until then is still written, and the sums are right.
func (a *app) beginCapture(ctx context.Context, c *client.Client, req api.CaptureRequest) (*client.CaptureStream, error) {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	early := context.AfterFunc(ctx, func() { cancel(ctx.Err()) })
	stream, err := c.Capture(inner, req)
	if !early() || err != nil {
		return stream, err
	}
	context.AfterFunc(ctx, func() {
		_ = stream.Stop() // fails where the other side is gone, which ends it too
		time.AfterFunc(stopPatience, func() { cancel(ctx.Err()) })
	})
	return stream, nil
}

// stopPatience is how long the rest of a capture may take to come.
const stopPatience = 5 * time.Second

// pump copies blocks until count frames have passed, or something ends. Closing
// the sink writes the last of them.
func pump(r *capture.BlockReader, sink *sink, count uint64) (lost map[uint32]uint64, err error) {
	lost = map[uint32]uint64{}
	for n := uint64(0); count == 0 || n < count; {
		b, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return lost, &api.Error{Code: api.ErrClosed, Message: "the switch was stopped", Hint: "see whether it runs again: vnetctl list"}
		case err != nil:
			return lost, err
		}
		if i, k, ok := b.Losses(); ok {
			lost[i] = k
		}
		if b.Type == capture.TypePacket {
			n++
		}
		if err := sink.add(&b); err != nil {
			return lost, err
		}
		if r.Waiting() {
			if err := sink.flush(); err != nil {
				return lost, err
			}
		}
	}
	return lost, nil
}

// sumUp says what there is now. Standard output may be the capture.
func (a *app) sumUp(sum captured) {
	if a.json {
		w := a.err
		if len(sum.Files) > 0 {
			w = a.out
		}
		_ = jsonLines(w).Encode(sum)
		return
	}
	text := fmt.Sprintf("%d frames captured, %d lost", sum.Frames, sum.Lost)
	if len(sum.Files) > 0 {
		text += " in " + strings.Join(sum.Files, ", ")
	}
	if sum.Lost > 0 {
		text += "; the capture says where"
	}
	fmt.Fprintf(a.err, "vnetctl: %s\n", text)
}

// newSink checks what the capture goes to.
func (a *app) newSink(f *captureFlags) (*sink, error) {
	limit, keep, err := parseRotate(f.rotate)
	if err != nil {
		return nil, err
	}
	if f.file != "" && f.file != "-" {
		return &sink{path: f.file, limit: limit, keep: keep}, nil
	}
	if f.rotate != "" {
		e := usage("capture: --rotate is about files")
		e.cause, e.cure = "the capture goes to standard output", "name a file: -w cap.pcapng --rotate "+f.rotate
		return nil, e
	}
	if out, ok := a.outFile(); ok && term.IsTerminal(int(out.Fd())) {
		e := usage("capture: frames are not for a terminal")
		e.cause = "standard output is a terminal, and a capture is binary"
		e.cure = "vnetctl capture ... | wireshark -k -i -   or   ... | tshark -r -   or   ... -w cap.pcapng"
		return nil, e
	}
	return &sink{w: a.out}, nil
}
