package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
)

// Mistake is one thing that is wrong with a file.
type Mistake struct {
	File      string
	Line, Col int // 0: not at one place
	Text      string
}

func (m Mistake) String() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Col, m.Text)
}

// Mistakes is everything that is wrong with a file, by line. It is a
// vswitch.ErrInvalid.
type Mistakes []Mistake

// Error lists all of them, one a line.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// Is makes Mistakes a vswitch.ErrInvalid.
func (ms Mistakes) Is(target error) bool { return target == vswitch.ErrInvalid }

// shown is how many mistakes fit into one sentence.
const shown = 4

// Sentence says it in one line, the first few mistakes for all.
func (ms Mistakes) Sentence() string {
	if len(ms) == 0 {
		return "no mistakes"
	}
	text := ms[0].File + " has "
	if len(ms) == 1 {
		text += "a mistake"
	} else {
		text += fmt.Sprintf("%d mistakes", len(ms))
	}
	for i, m := range ms[:min(len(ms), shown)] {
		text += map[bool]string{true: ": ", false: "; "}[i == 0]
		if m.Line > 0 {
			text += fmt.Sprintf("line %d: ", m.Line)
		}
		text += m.Text
	}
	if len(ms) > shown {
		text += fmt.Sprintf("; and %d more", len(ms)-shown)
	}
	return text
}

// add notes a mistake at a place.
func (c *Config) add(at pos, format string, args ...any) {
	c.mistakes = append(c.mistakes, Mistake{File: c.File, Line: at.line, Col: at.col, Text: fmt.Sprintf(format, args...)})
}

// unknown notes a key that nobody understands.
func (c *Config) unknown(at pos, key string, known []string) {
	if near := api.Nearest(key, known); near != "" {
		c.add(at, "unknown key %q; did you mean %q?", key, near)
		return
	}
	c.add(at, "unknown key %q; the keys here are %s", key, strings.Join(known, ", "))
}

// err is what has been noted, or nil.
func (c *Config) err() error {
	if len(c.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(c.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return Mistakes(slices.Compact(c.mistakes))
}

// fileName makes a path short enough for messages without making it ambiguous.
func fileName(path string) string {
	if path == "" {
		return "config"
	}
	return filepath.Clean(path)
}
