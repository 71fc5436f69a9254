package link

import "fmt"

// Cable says where a Source that does not listen leads. Two that lead to one
// place are a ring, in which the first broadcast goes round for ever.
type Cable struct {
	Place string // tells places apart; "": not known
	Name  string // what people call the place; "": what the Source says
	Way   string // tells ways to a place apart, if that is known

	// Deaf is a way by which no frame comes that was sent to the place by another
	// way. Then no spanning tree frame tells of the ring, and frames of others are
	// multiplied instead of going round.
	Deaf bool
}

// Cabled is implemented by Sources who know better than their Spec where they
// lead. Cable may be called at any time, and does not wait.
type Cabled interface {
	Cable() Cable
}

// Bridge is the way to a bridge of the kernel, in a network namespace that is
// told from others by its inode.
func Bridge(netns uint64, index int, name, way string) Cable {
	return Cable{Place: fmt.Sprintf("bridge %d in %d", index, netns), Name: "bridge " + name, Way: way}
}

// Apart tells whether a spanning tree can find out that c and o lead to one place.
func (c Cable) Apart(o Cable) bool {
	return !c.Deaf && !o.Deaf && (c.Way == "" || c.Way != o.Way)
}
