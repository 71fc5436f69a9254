package link

import "context"

// AnyPort is the Port of a Claim that leaves the number to the switch.
const AnyPort = -1

// Claim is what a client asks for when it plugs in, and who it is.
type Claim struct {
	Port int   // number of the port that it wants, 0 among them; AnyPort: any
	UID  int   // as the kernel vouches for it
	GIDs []int // all groups it is a member of
}

// Claimant is implemented by Links whose client waits for an answer. It may ask
// for a port by number, also for one that another client of the same user has:
// then both are endpoints of that port. A refused one is closed without a word.
type Claimant interface {
	Link
	Claim() Claim

	// Welcome tells the client that it has port number id. It is called once,
	// when the port is before the data path, while the Link is already in use.
	Welcome(id int) error
}

// FrontDoor is implemented by Sources whose clients may ask for a Vacancy.
type FrontDoor interface {
	FrontDoor() bool
}

// Controlled is implemented by Links that learn of their end by a second
// descriptor. It is polled like that of FD; any news there means that the Link
// has ended, and ReadBatch is called until it says how.
type Controlled interface {
	ControlFD() int
}

// Bounded is implemented by Links that want another bound on the frames that wait
// for them than the switch's own.
type Bounded interface {
	QueueLimit() int
}

// Vacancy is the Source of a port that has none: clients who plug in at a door of
// the same kind may ask for it by its number.
type Vacancy string

// Accept implements Source. It waits for the end.
func (v Vacancy) Accept(ctx context.Context) (Link, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Listening implements Source.
func (v Vacancy) Listening() bool { return false }

// String implements Source.
func (v Vacancy) String() string { return string(v) }

// Close implements Source.
func (v Vacancy) Close() error { return nil }
