package mgmt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
)

// getEvents streams events as lines of JSON.
//
// Readers pull: the switch keeps the latest events, and each reader asks for
// those after the last one it got. One that is too slow for that is told so by
// a line of type "missed", and one that does not read at all is cut off when
// the socket's buffer has been full for the length of the write limit.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "since", "life", "follow")
	if err != nil {
		return err
	}
	var seq uint64
	if q.Has("since") {
		if seq, err = strconv.ParseUint(q.Get("since"), 10, 64); err != nil {
			return &api.Error{Code: api.ErrBadRequest, Message: fmt.Sprintf("query since=%.100q is not an event's number", q.Get("since")), Hint: "the latest is event_seq in GET /v1/info"}
		}
	}
	follow, _, err := queryBool(q, "follow")
	if err != nil {
		return err
	}
	out := eventWriter{server: s, w: w, ctl: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	if err := out.start(); err != nil {
		return nil // the caller has left
	}
	if life := q.Get("life"); life != "" && life != s.life {
		if seq, err = out.missed("the switch was started anew"); err != nil {
			return nil
		}
	}
	ctx := r.Context()
	if !follow {
		ctx = ended(ctx)
	}
	for {
		events, err := s.sw.Events(ctx, seq)
		switch {
		case errors.Is(err, vswitch.ErrMissed):
			seq, err = out.missed("the switch keeps only its latest events")
		case err == nil:
			seq = events[len(events)-1].Seq
			err = out.write(events)
		}
		if err != nil {
			return nil // nothing new, or somebody has left: the caller or the switch
		}
	}
}

// ended is a context in which nothing waits.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// eventWriter writes to one reader.
type eventWriter struct {
	server *Server
	w      http.ResponseWriter
	ctl    *http.ResponseController
}

// start sends the header, so that the reader knows that it is being served.
func (e *eventWriter) start() error {
	e.deadline()
	return e.flush()
}

func (e *eventWriter) write(events []vswitch.Event) error {
	e.deadline()
	for _, ev := range events {
		line, err := e.server.eventLine(ev)
		if err != nil {
			return err
		}
		if _, err := e.w.Write(line); err != nil {
			return err
		}
	}
	return e.flush()
}

// missed says that events are gone and returns the number to go on from.
func (e *eventWriter) missed(why string) (uint64, error) {
	seq := e.server.oldestEvent()
	e.deadline()
	line, err := encodeEvent(api.Event{Seq: seq, Time: time.Now(), Type: api.EventMissed, Text: "events before this are gone: " + why})
	if err != nil {
		return seq, err
	}
	if _, err := e.w.Write(line); err != nil {
		return seq, err
	}
	return seq, e.flush()
}

// eventLine is an event as readers get it. Those who keep up all want the
// latest, so that is encoded once.
func (s *Server) eventLine(ev vswitch.Event) ([]byte, error) {
	if l := s.latestEvent.Load(); l != nil && l.seq == ev.Seq {
		return l.text, nil
	}
	text, err := encodeEvent(api.Event{Seq: ev.Seq, Time: ev.Time, Type: string(ev.Type), Port: ev.Port, Name: ev.Name, Text: ev.Text})
	if err == nil {
		s.latestEvent.Store(&encodedEvent{ev.Seq, text})
	}
	return text, err
}

type encodedEvent struct {
	seq  uint64
	text []byte // never changed
}

func encodeEvent(ev api.Event) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(ev)
	return b.Bytes(), err
}

func (e *eventWriter) deadline() {
	_ = e.ctl.SetWriteDeadline(time.Now().Add(e.server.limits.write)) // fails only where writing will
}

func (e *eventWriter) flush() error {
	if err := e.ctl.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// oldestEvent is a number from which all events are still there. The switch
// does not say how many it keeps, and drops more while we look; so go back half
// as far each time.
func (s *Server) oldestEvent() uint64 {
	last := s.sw.Info().EventSeq
	for back := uint64(1 << 12); back > 0; back /= 2 {
		from := last - min(back, last)
		if _, err := s.sw.Events(ended(context.Background()), from); !errors.Is(err, vswitch.ErrMissed) {
			return from
		}
	}
	return last
}
