package kdl

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// reader goes over a text. It is at the beginning of what was not read yet.
type reader struct {
	text string
	mark
	depth int
}

// mark is a place to go back to.
type mark struct {
	off int
	at  Pos
}

const end = rune(-1)

func (r *reader) errorAt(at Pos, format string, args ...any) error {
	return &Error{at, fmt.Sprintf(format, args...)}
}

// peek is the next rune.
func (r *reader) peek() rune {
	if r.off == len(r.text) {
		return end
	}
	c, _ := utf8.DecodeRuneInString(r.text[r.off:])
	return c
}

func (r *reader) starts(text string) bool { return strings.HasPrefix(r.text[r.off:], text) }

// next takes a rune. CR LF is one line's end and two runes.
func (r *reader) next() rune {
	if r.off == len(r.text) {
		return end
	}
	c, size := utf8.DecodeRuneInString(r.text[r.off:])
	r.off += size
	if isNewline(c) && (c != '\r' || !r.starts("\n")) {
		r.at.Line, r.at.Column = r.at.Line+1, 1
	} else {
		r.at.Column++
	}
	return c
}

// skip takes n ASCII characters, none of which ends a line.
func (r *reader) skip(n int) {
	r.off += n
	r.at.Column += n
}

// take reads while ok holds.
func (r *reader) take(ok func(rune) bool) string {
	from := r.off
	for c := r.peek(); c != end && ok(c); c = r.peek() {
		r.next()
	}
	return r.text[from:r.off]
}

// check looks for what must stand nowhere.
func (r *reader) check() error {
	begin := r.mark
	for r.off < len(r.text) {
		if c, size := utf8.DecodeRuneInString(r.text[r.off:]); c == utf8.RuneError && size == 1 {
			return r.errorAt(r.at, "this is not UTF-8")
		} else if isForbidden(c) {
			return r.errorAt(r.at, "the character %U must not stand here", c)
		}
		r.next()
	}
	r.mark = begin
	return nil
}

func isForbidden(c rune) bool {
	return c < '\t' || 0x0e <= c && c < ' ' || c == 0x7f || 0x200e <= c && c <= 0x200f || 0x202a <= c && c <= 0x202e || 0x2066 <= c && c <= 0x2069 || c == 0xfeff
}

func isNewline(c rune) bool {
	return 0x0a <= c && c <= 0x0d || c == 0x85 || c == 0x2028 || c == 0x2029
}

func isSpace(c rune) bool {
	return c == '\t' || c == ' ' || c == 0xa0 || c == 0x1680 || 0x2000 <= c && c <= 0x200a || c == 0x202f || c == 0x205f || c == 0x3000
}

func isBlank(c rune) bool { return isSpace(c) || isNewline(c) }

// isWord tells whether c may stand in a word without quotes.
func isWord(c rune) bool { return !isBlank(c) && !strings.ContainsRune(`\/(){};[]"#=`, c) }

func isDigit(c rune) bool { return '0' <= c && c <= '9' }

// space takes spaces, comments within a line, and line ends behind a backslash.
func (r *reader) space() (any bool, err error) {
	for begin := r.off; ; {
		switch {
		case isSpace(r.peek()):
			r.next()
		case r.starts("/*"):
			err = r.comment()
		case r.starts(`\`):
			err = r.continued()
		default:
			return r.off > begin, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// comment takes one between /* and */, and those in it.
func (r *reader) comment() error {
	from := r.at
	for depth := 0; ; {
		switch {
		case r.starts("/*"):
			depth++
			r.skip(2)
		case r.starts("*/"):
			depth--
			r.skip(2)
		case r.peek() == end:
			return r.errorAt(from, "this comment has no end")
		default:
			r.next()
		}
		if depth == 0 {
			return nil
		}
	}
}

// continued takes a backslash and the rest of its line.
func (r *reader) continued() error {
	from := r.at
	r.skip(1)
	for isSpace(r.peek()) || r.starts("/*") {
		if !r.starts("/*") {
			r.next()
		} else if err := r.comment(); err != nil {
			return err
		}
	}
	if r.starts("//") {
		r.take(func(c rune) bool { return !isNewline(c) })
	}
	if r.peek() != end && !isNewline(r.peek()) {
		return r.errorAt(from, `a \ goes on in the next line, and must be the last in its own`)
	}
	r.newline()
	return nil
}

// newline takes one line's end.
func (r *reader) newline() {
	if r.next() == '\r' && r.starts("\n") {
		r.next()
	}
}

// lineSpace takes space over any number of lines.
func (r *reader) lineSpace() error {
	for {
		if _, err := r.space(); err != nil {
			return err
		}
		switch {
		case r.starts("//"):
			r.take(func(c rune) bool { return !isNewline(c) })
		case r.peek() != end && isNewline(r.peek()):
			r.newline()
		default:
			return nil
		}
	}
}
