// Package link is the contract between the switch and the things that carry
// frames: what a port kind implements.
//
// A Kind knows how to turn a Spec ("stream:unix:/path,connect=on") into a
// Source. A Source yields Links: a listening one yields a Link for each client
// and each becomes a port of its own; any other yields one Link after another
// for the same port, the next one when the last has died. A Link moves batches
// of frames and never waits. Waiting is the switch's job: it polls the
// descriptor that the Link names and calls when there is something to do.
//
// That is all a kind has to know. Ports, VLANs, counters, queues and threads
// belong to the switch. linktest.Run checks a kind against this contract.
package link

import (
	"context"
	"errors"
	"time"

	"vnetkit/switch/frame"
)

// ErrFull is what WriteBatch returns when the kernel takes no more for now.
var ErrFull = errors.New("link is full")

// Link moves frames below a port.
//
// ReadBatch and WriteBatch may run at the same time as each other, but the
// caller makes sure that at most one of each runs, and that neither runs once
// Close has been called.
type Link interface {
	// FD is the descriptor to poll: readable means that ReadBatch has
	// something to say, writable that WriteBatch can go on after ErrFull. It
	// stays the same until Close.
	FD() int

	// ReadBatch reads what is there into b.Buf, at most once around, and
	// appends a Ref for each whole frame. It never waits: no Refs and no error
	// means that nothing is there yet. If it did not take all, it sets b.More:
	// the switch is told of arrivals, not of what was left. The bytes belong to
	// the caller until its next call; b.Buf is at least MinBuf long. An error
	// is final: io.EOF when the other side has left, anything else is why the
	// Link is of no more use. Refs that were appended before an error are good.
	ReadBatch(b *frame.Batch) error

	// WriteBatch writes b's frames, each after its Edit, and returns how many
	// it took. It never waits and keeps nothing of b. ErrFull says that the
	// rest must wait until the descriptor is writable; the Link may then hold
	// the unwritten end of the last frame it took, and finishes it at the
	// start of the next call, which may be one with no frames. Any other
	// error is final.
	WriteBatch(b *frame.Batch) (n int, err error)

	// Close gives everything back. It is called once.
	Close() error
}

// MinBuf is the least room that ReadBatch may count on in b.Buf.
const MinBuf = 2 * (frame.MaxLen + frame.PrefixLen)

// Borrower is implemented by Links that take lent frames, see frame.Batch. The
// others are only given whole ones.
type Borrower interface{ Borrows() }

// Peer says who is on the other end of a Link, as far as the kernel vouches
// for it.
type Peer struct {
	PID  int    // 0: unknown
	UID  int    // -1: unknown
	Addr string // network address or path, for humans
	// Description is what the other end says of itself. Nobody vouches for it;
	// it is printable.
	Description string
}

// Peered is implemented by Links that know who is on the other end.
type Peered interface {
	Peer() Peer
}

// Gated is implemented by Links whose descriptor never tells that it is writable.
type Gated interface {
	// WriteFD is what becomes readable when WriteBatch can go on after ErrFull.
	// It stays the same until Close.
	WriteFD() int
}

// Offloader is implemented by Links that take frames on which work is left to be
// done. The others are never given any.
type Offloader interface {
	// Takes is the work that may be left. It stays the same until Close, or
	// until ReadBatch says that it has Changed; a frame on which more was left
	// may come once more and is Refused.
	Takes() frame.OffloadSet
}

// Sized is implemented by Links whose far end has an MTU: no frame with more
// payload, tags not counted, is given to them.
type Sized interface {
	MTU() int
}

// Polled is implemented by Links that may be looked at in every round of their
// thread, which then never sleeps, instead of when their descriptor has news.
type Polled interface{ Polled() bool }

// Patient is implemented by Links for which senders may be kept waiting.
type Patient interface {
	// Patience is how long, at most, who sends to this Link alone is not read
	// while it is full; 0: as short as for any other.
	Patience() time.Duration
}

// Queued is implemented by Links that bring frames in several places at once. The
// switch may read them in different threads; frames of one flow must come in one
// place.
type Queued interface {
	// Queues are the other places. Each has its own descriptor. Only FD,
	// ReadBatch and Close are called, and Close before that of the Link itself.
	Queues() []Link
}

// Source yields Links.
type Source interface {
	// Accept waits for the next Link. It returns ctx's error when ctx ends and
	// otherwise fails only when no Link can ever come again.
	Accept(ctx context.Context) (Link, error)

	// Listening tells whether each Link is another client and so a port of its
	// own (true), or the next life of one port (false).
	Listening() bool

	// String is where the Links come from, as a Spec would write it.
	String() string

	// Close stops the Source and removes what it made. Links that it yielded
	// live on.
	Close() error
}

// Kind is a way to plug into the switch. Kinds are values: main puts them in a
// list, and help, validation and configuration follow from it.
type Kind struct {
	Name string // as in a Spec, before the first colon
	Help string // usage, one line per form
	// Check says what Open would refuse before it touches anything, and
	// whether the Source would be listening.
	Check func(Spec) (listening bool, err error)
	Open  func(context.Context, Spec, Options) (Source, error)
}

// Options is what the switch tells a Kind when it opens a Spec.
type Options struct {
	// Retrying is called when a Source that dials could not reach the other
	// side and will try again, with the reason; and with nil once it could.
	// It may be nil.
	Retrying func(error)

	// Lost is called when a Source learns otherwise than by reading or writing
	// that a Link it yielded is of no more use, with the reason. Changed is
	// called when something about a Link is not as it was: its MTU, or its far
	// end, of which remark says what an admin should know. Both may be nil,
	// and may be called for a Link that has ended.
	Lost    func(Link, error)
	Changed func(l Link, remark string)

	// MTU is what the port is set to; 0: nothing.
	MTU int

	// Refused is called when a client could not be let in, with the reason. It
	// may be nil.
	Refused func(error)
}
