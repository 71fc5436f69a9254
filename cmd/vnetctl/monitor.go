package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func (a *app) monitorCommand() *cobra.Command {
	var since uint64
	follow := true
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Show events as they happen",
		Long: `Show events as they happen: who plugs in, who leaves and why, what is changed.

Events have numbers without gaps. When the switch goes away monitor waits for it
and goes on where it was; a line "missed" stands for events that are gone, for
example because the switch was started anew. --since N begins after event N,
--since 0 with the oldest that is kept. With --json each line is one object.`,
		Example: `  vnetctl monitor
  vnetctl monitor --since 0 --follow=false
  vnetctl monitor --json | jq -r 'select(.type == "link-up") | .name'`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := monitor{app: a, follow: follow, pause: 200 * time.Millisecond}
			if cmd.Flags().Changed("since") {
				m.since = &since
			}
			return cannot(m.run(cmd.Context()), "show events")
		},
	}
	cmd.Flags().Uint64Var(&since, "since", 0, "begin after this event (default: the latest)")
	cmd.Flags().BoolVar(&follow, "follow", true, "go on until interrupted")
	return cmd
}

type monitor struct {
	*app
	since  *uint64 // nil: begin now
	follow bool
	pause  time.Duration // between attempts to reach a switch that went away

	life string // that *since is of
}

func (m *monitor) run(ctx context.Context) error {
	err := m.once(ctx)
	for gone := false; m.follow && ctx.Err() == nil; {
		switch {
		case m.since == nil || !errors.Is(err, api.ErrUnreachable) && !errors.Is(err, api.ErrClosed) && !errors.Is(err, api.ErrBusy):
			return err // never reached, or of no use to try again
		case !gone:
			fmt.Fprintf(m.err, "vnetctl: %s; waiting for it\n", printable(err.Error()))
		}
		select {
		case <-time.After(m.pause):
		case <-ctx.Done():
			return nil
		}
		before := *m.since
		err = m.once(ctx)
		gone = *m.since == before
	}
	if ctx.Err() != nil {
		return nil // interrupting is how one ends it
	}
	return err
}

// once shows events until the switch goes away.
func (m *monitor) once(ctx context.Context) error {
	c, err := m.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	if m.since == nil {
		m.since = &info.EventSeq
	}
	if m.life == "" {
		m.life = info.Life
	}
	from := client.EventsFrom{Since: *m.since, Life: m.life, Follow: m.follow}
	m.life = info.Life
	for e, err := range c.Events(ctx, from) {
		if err != nil {
			return err
		}
		*m.since = e.Seq
		if err := m.show(e); err != nil {
			return err
		}
	}
	return nil
}

func (m *monitor) show(e api.Event) error {
	if m.json {
		return jsonLines(m.out).Encode(e)
	}
	port := "-"
	if e.Port != 0 {
		port = fmt.Sprintf("%s(%d)", e.Name, e.Port)
	}
	_, err := fmt.Fprintf(m.out, "%s %6d  %-14s  %-12s  %s\n", e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Seq, e.Type, printable(port), printable(e.Text))
	return err
}
