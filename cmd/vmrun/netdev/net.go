// Package netdev turns what a user asks of a VM's network into QEMU's arguments.
//
// Theory of operation: "--net MODE[,key=value]..." is parsed into a Net
// (ParseNet), which knows its mode and keys and nothing of the host. Args is a
// pure function from Nets and Caps to arguments: what the QEMU at hand can do
// comes in as Caps (package qemu asks for it), never as a version number.
// Backends are written as JSON, where a comma in a path is only a comma.
//
// What a mode needs of the host beyond QEMU (a switch that runs, a TAP, passt)
// is the caller's: Args is told where it is by keys such as sock= and fd=.
package netdev

import (
	"fmt"
	"slices"
	"strings"

	"vnetkit/switch/frame"
)

// Net is one network card and what it is plugged into.
type Net struct {
	Mode string
	opts []opt // in the order given
}

type opt struct{ key, value string }

// UsageError is a --net that makes no sense.
type UsageError struct{ What, Cure string }

func (e *UsageError) Error() string { return e.What }

func badf(cure, format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...), cure}
}

// ParseNet reads MODE[=VALUE][,key=value]... A comma inside a value is written
// twice. VALUE is that of the mode's first key.
func ParseNet(text string) (Net, error) {
	if strings.ContainsRune(text, 0) {
		return Net{}, badf("", "--net %q: NUL byte", text)
	}
	fields := splitCommas(text)
	name, value, has := strings.Cut(fields[0], "=")
	m, err := findMode(name)
	if err != nil {
		return Net{}, err
	}
	n := Net{Mode: m.name}
	if has {
		if m.first == "" {
			return Net{}, badf("--net "+m.name+",key=value", "--net %s=%s: this mode takes no value of its own", name, value)
		}
		if err := n.add(m, m.first, value); err != nil {
			return Net{}, err
		}
	}
	for _, f := range fields[1:] {
		key, value, ok := strings.Cut(f, "=")
		if !ok || key == "" {
			return Net{}, badf("write key=value, and a comma inside a value twice", "--net %s: %q is not key=value", text, f)
		}
		if err := n.add(m, key, value); err != nil {
			return Net{}, err
		}
	}
	if m.refuse != "" {
		return n, badf(m.cure, "--net %s: %s", m.name, m.refuse)
	}
	return n, m.complete(n)
}

// splitCommas cuts s at single commas and turns double ones into one.
func splitCommas(s string) []string {
	fields := strings.Split(strings.ReplaceAll(s, ",,", "\x00"), ",")
	for i := range fields {
		fields[i] = strings.ReplaceAll(fields[i], "\x00", ",")
	}
	return fields
}

func (n *Net) add(m *mode, key, value string) error {
	k, err := m.find(key)
	if err != nil {
		return err
	}
	if err := k.check(value); err != nil {
		return badf(k.kind.example(), "--net %s: %s=%s: %v", m.name, key, value, err)
	}
	if n.Has(key) && k.kind != list {
		return badf("give it once", "--net %s: %s is given twice", m.name, key)
	}
	n.opts = append(n.opts, opt{key, value})
	return nil
}

// Has tells whether a key was given.
func (n Net) Has(key string) bool {
	return slices.ContainsFunc(n.opts, func(o opt) bool { return o.key == key })
}

// Get is the value of a key, or "".
func (n Net) Get(key string) string {
	for _, o := range n.opts {
		if o.key == key {
			return o.value
		}
	}
	return ""
}

// All are the values of a key that may be given more than once.
func (n Net) All(key string) (values []string) {
	for _, o := range n.opts {
		if o.key == key {
			values = append(values, o.value)
		}
	}
	return values
}

// Set returns n with a key that the caller has found out, instead of the
// user's. It must be a key of n's mode.
func (n Net) Set(key, value string) Net {
	n.opts = slices.DeleteFunc(slices.Clone(n.opts), func(o opt) bool { return o.key == key })
	n.opts = append(n.opts, opt{key, value})
	return n
}

// Add returns n with one more value of a key that may be given more than once.
func (n Net) Add(key, value string) Net {
	n.opts = append(slices.Clone(n.opts), opt{key, value})
	return n
}

// String writes n so that ParseNet reads it back.
func (n Net) String() string {
	var b strings.Builder
	b.WriteString(n.Mode)
	for _, o := range n.opts {
		b.WriteString("," + o.key + "=" + strings.ReplaceAll(o.value, ",", ",,"))
	}
	return b.String()
}

// ParseMAC reads a card's address, which cannot be a group's.
func ParseMAC(text string) (frame.MAC, error) {
	mac, err := frame.ParseMAC(text)
	if err == nil && (mac.IsGroup() || mac == frame.MAC{}) {
		err = fmt.Errorf("%v addresses a group or nobody, and no card can have it; its first byte must be even, as in 52:54:00:12:34:56", mac)
	}
	return mac, err
}

// nearest is the word of a list that a mistyped one was meant to be, or "".
func nearest(word string, list []string) string {
	best, least := "", 1+len(word)/3
	for _, w := range list {
		if d := distance(word, w); d <= least {
			best, least = w, d-1
		}
	}
	return best
}

// distance is Levenshtein's: how many letters must be added, taken or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// hint names the word that was probably meant, or all there are.
func hint(word string, list []string) string {
	if w := nearest(word, list); w != "" {
		return "did you mean " + w + "?"
	}
	return "there are: " + strings.Join(list, " ")
}
