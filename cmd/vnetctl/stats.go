package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func (a *app) statsCommand() *cobra.Command {
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show rates and totals per port, and drops by reason",
		Long: `Read every counter twice, --interval apart, and show the rates in between, the
totals since each port was made, what was done on super-frames and checksums
for receivers that do not take them as they are, and why frames were dropped.

With --interval 0 it reads once and shows no rates.`,
		Example: `  vnetctl stats --interval 5s
  vnetctl stats --interval 0 --json | jq .totals`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 0 {
				return usage("stats: --interval %v is before now", interval)
			}
			return cannot(a.stats(cmd.Context(), interval), "read counters")
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "time between the two readings")
	return a.outputs(cmd)
}

// statsAnswer is what stats --json prints.
type statsAnswer struct {
	api.Stats
	Rates *client.Rates `json:"rates,omitempty"`
}

func (a *app) stats(ctx context.Context, interval time.Duration) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := c.Stats(ctx)
	if err != nil {
		return err
	}
	answer := statsAnswer{Stats: st}
	if interval > 0 {
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return ctx.Err()
		}
		if answer.Stats, err = c.Stats(ctx); err != nil {
			return err
		}
		if r, ok := client.RatesBetween(st, answer.Stats); ok {
			answer.Rates = &r
		}
	}
	if a.json {
		return a.printJSON(answer)
	}
	a.table(trafficTable(answer))
	if a.form == formName {
		return nil
	}
	if t := offloadTable(answer.Stats); len(t.rows) > 0 {
		fmt.Fprintln(a.out)
		a.table(t)
	}
	if len(answer.Totals.Drops) > 0 {
		fmt.Fprintln(a.out)
		a.table(dropTable(answer.Stats))
	}
	return nil
}

func trafficTable(st statsAnswer) *table {
	t := &table{columns: []column{{head: "ID", right: true}, {head: "NAME"}, {head: "STATE", paint: paintState}}}
	heads := []string{"RX", "RX-BYTES", "TX", "TX-BYTES", "DROPS", "QUEUE"}
	if st.Rates != nil {
		heads = append([]string{"RX/s", "RX-bit/s", "TX/s", "TX-bit/s", "DROPS/s"}, heads...)
	}
	for _, h := range heads {
		t.columns = append(t.columns, column{head: h, right: true})
	}
	t.columns = append(t.columns, column{head: "KIND", wide: true}, column{head: "MACS", right: true, wide: true})
	row := func(id, name, state, kind string, rate client.Rate, known bool, tr api.Traffic) {
		cells := []string{id, name, state}
		if st.Rates != nil {
			rates := []string{"", "", "", "", ""}
			if known {
				rates = []string{human(rate.RxFrames), human(rate.RxBits), human(rate.TxFrames), human(rate.TxBits), human(rate.Drops)}
			}
			cells = append(cells, rates...)
		}
		t.add(append(cells, humanUint(tr.Rx.Frames), humanUint(tr.Rx.Bytes), humanUint(tr.Tx.Frames), humanUint(tr.Tx.Bytes), humanUint(sum(tr.Drops)), strconv.Itoa(tr.Queue), kind, strconv.Itoa(tr.MACs))...)
	}
	rates := client.Rates{}
	if st.Rates != nil {
		rates = *st.Rates
	}
	for _, p := range st.Ports {
		rate, known := rates.Ports[p.ID]
		row(strconv.Itoa(p.ID), p.Name, p.State, p.Kind, rate, known, p.Traffic)
		t.names = append(t.names, p.Name)
	}
	sums := api.Traffic{Rx: st.Totals.Rx, Tx: st.Totals.Tx, Drops: st.Totals.Drops, Queue: st.Totals.Queue, MACs: st.FDB.Entries}
	row("", "total", fmt.Sprintf("%d of %d up", st.Totals.PortsUp, st.Totals.Ports), "", rates.Totals, true, sums)
	return t
}

// dropTable says why frames were dropped, and where most of them.
func dropTable(st api.Stats) *table {
	t := &table{columns: []column{{head: "DROPPED", right: true}, {head: "REASON"}, {head: "MOSTLY-AT"}, {head: "BECAUSE"}}}
	for _, reason := range sortedKeys(st.Totals.Drops) {
		worst, name := uint64(0), ""
		for _, p := range st.Ports {
			if p.Drops[reason] > worst {
				worst, name = p.Drops[reason], p.Name
			}
		}
		t.add(strconv.FormatUint(st.Totals.Drops[reason], 10), reason, name, st.Reasons[reason])
	}
	return t
}

// readRates reads every counter twice and returns what went on in between.
func readRates(ctx context.Context, c *client.Client, interval time.Duration) (client.Rates, error) {
	first, err := c.Stats(ctx)
	if err != nil {
		return client.Rates{}, err
	}
	select {
	case <-time.After(interval):
	case <-ctx.Done():
		return client.Rates{}, ctx.Err()
	}
	second, err := c.Stats(ctx)
	if err != nil {
		return client.Rates{}, err
	}
	r, ok := client.RatesBetween(first, second)
	if !ok {
		return r, errors.New("the switch was started anew in between")
	}
	return r, nil
}
