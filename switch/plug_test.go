package vswitch

import (
	"context"
	"log/slog"
	"testing"
)

// dawdler is a log that takes its time, with do, over the news of a link.
type dawdler struct {
	slog.Handler
	do func()
}

func (d *dawdler) Enabled(context.Context, slog.Level) bool { return true }

func (d *dawdler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "link up" && d.do != nil {
		d.do()
	}
	return nil
}

// Who hears from a new port can answer it at once. The log is written while the
// link is being plugged in: if by then the worker had the link, it would carry
// what the station had sent already, and the answer would find a port that the
// data path takes to have no link.
func TestNewPortIsReachableWhenItIsHeard(t *testing.T) {
	log := &dawdler{Handler: slog.DiscardHandler}
	l := newLab(t, Options{Workers: 1, Log: slog.New(log)})
	door := l.door("")
	a := l.plugInto(door, 0)
	l.introduce(a)
	addr := mac(1000)
	hello, answer := eth(a.mac, addr), eth(addr, a.mac)
	rounds := func() {
		for range 3 { // attach, look for news, forward
			round := make(chan struct{})
			l.sw.workers[0].do(func() { close(round) })
			<-round
		}
	}
	sent, noted := make(chan struct{}), make(chan struct{})
	answered := false
	log.do = func() {
		defer close(noted)
		<-sent
		rounds()
		if _, heard, _ := a.TryPoll(); heard {
			answered = a.TrySend(answer) == nil
			rounds()
		}
	}
	b := l.pipes.Plug(t, door)
	b.Send(hello)
	close(sent)
	<-noted
	if !answered {
		a.Expect(hello)
		a.Station.Send(answer)
	}
	if d := l.port(a.ref).Drops; d[DropReceiverDown] != 0 {
		t.Fatal("the answer was dropped")
	}
	b.Expect(answer)
}
