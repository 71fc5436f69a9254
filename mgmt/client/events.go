package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/url"
	"strconv"

	"vnetkit/mgmt/api"
)

// EventsFrom says which events to read.
type EventsFrom struct {
	Since  uint64 // those after this number
	Life   string // Info.Life that the number is of; if the switch has another, its reader missed something
	Follow bool   // wait for more
}

// Events yields events, oldest first. An event of type api.EventMissed stands
// for some that are gone. Without Follow it ends with the latest event; with
// it, when ctx ends or, with an error, when the switch goes away: read Info for
// the life that runs then, and go on from the number of the last event.
func (c *Client) Events(ctx context.Context, from EventsFrom) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		if !from.Follow {
			var cancel context.CancelFunc
			ctx, cancel = c.withTimeout(ctx)
			defer cancel()
		}
		q := url.Values{"since": {strconv.FormatUint(from.Since, 10)}}
		if from.Life != "" {
			q.Set("life", from.Life)
		}
		if from.Follow {
			q.Set("follow", "1")
		}
		resp, err := c.send(ctx, "GET", "/v1/events?"+q.Encode(), nil)
		if err != nil {
			yield(api.Event{}, err)
			return
		}
		defer resp.Body.Close()
		dec := json.NewDecoder(resp.Body)
		for {
			var e api.Event
			switch err := dec.Decode(&e); {
			case err == nil:
				if !yield(e, nil) {
					return
				}
				continue
			case from.Follow && ctx.Err() != nil:
				return
			case errors.Is(err, io.EOF) && !from.Follow:
				return
			default:
				yield(api.Event{}, c.explain(ctx, err))
				return
			}
		}
	}
}
