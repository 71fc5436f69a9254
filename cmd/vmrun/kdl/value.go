package kdl

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// value reads one, with its type.
func (r *reader) value() (Value, error) {
	at := r.at
	typ, err := r.annotation()
	if err != nil {
		return Value{}, err
	}
	v, err := r.plain()
	if v.Type = typ; typ != "" {
		v.Pos = at
	}
	return v, err
}

// plain reads a value that has no type.
func (r *reader) plain() (Value, error) {
	v := Value{Pos: r.at}
	var err error
	switch c := r.peek(); {
	case c == '"':
		v.Text, err = r.quoted()
	case c == '#':
		return r.hashed()
	case c != end && isWord(c):
		return r.word()
	default:
		err = r.unexpected()
	}
	return v, err
}

// word reads a string without quotes, a number, or one of version 1's keywords.
func (r *reader) word() (Value, error) {
	v := Value{Pos: r.at}
	v.Text = r.take(isWord)
	first := strings.TrimLeft(v.Text[:min(2, len(v.Text))], "+-")
	switch {
	case first != "" && isDigit(rune(first[0])):
		v.Kind, v.Text = Number, number(v.Text)
		if v.Text == "" {
			return v, r.errorAt(v.Pos, "this begins like a number and is none")
		}
	case v.Text == "true" || v.Text == "false":
		v.Kind = Bool
	case v.Text == "null":
		v.Kind = Null
	case v.Text == "inf" || v.Text == "-inf" || v.Text == "nan":
		return v, r.errorAt(v.Pos, "write #%s, or put the word into quotes", v.Text)
	case dotted(v.Text):
		return v, r.errorAt(v.Pos, "a number begins with a digit: 0.5, not .5")
	}
	return v, nil
}

// dotted tells a word that looks like .5.
func dotted(text string) bool {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "+"), "-")
	return len(text) > 1 && text[0] == '.' && isDigit(rune(text[1]))
}

// number checks one and leaves its underscores out; "": it is none.
func number(text string) string {
	rest := text
	if rest[0] == '+' || rest[0] == '-' {
		rest = rest[1:]
	}
	base, rest := radix(rest)
	ok := false
	switch base {
	case 16:
		ok = digits(rest, "0123456789abcdefABCDEF")
	case 8:
		ok = digits(rest, "01234567")
	case 2:
		ok = digits(rest, "01")
	default:
		mantissa, exponent, has := strings.Cut(strings.ToLower(rest), "e")
		whole, fraction, point := strings.Cut(mantissa, ".")
		if len(exponent) > 0 && (exponent[0] == '+' || exponent[0] == '-') {
			exponent = exponent[1:]
		}
		ok = digits(whole, decimal) && (!point || digits(fraction, decimal)) && (!has || digits(exponent, decimal))
	}
	if !ok {
		return ""
	}
	return strings.ReplaceAll(text, "_", "")
}

const decimal = "0123456789"

// digits tells whether text is made of a set and underscores, which are not
// first.
func digits(text, set string) bool {
	return text != "" && text[0] != '_' && strings.Trim(text, set+"_") == ""
}

// hashed reads a raw string or a keyword.
func (r *reader) hashed() (Value, error) {
	v := Value{Pos: r.at}
	hashes := r.take(func(c rune) bool { return c == '#' })
	if r.peek() == '"' {
		var err error
		v.Text, err = r.raw(hashes, v.Pos)
		return v, err
	}
	v.Text = hashes + r.take(isWord)
	switch v.Text {
	case "#true", "#false":
		v.Kind, v.Text = Bool, v.Text[1:]
	case "#null":
		v.Kind, v.Text = Null, v.Text[1:]
	case "#inf", "#-inf", "#nan":
		v.Kind = Number
	default:
		return v, r.errorAt(v.Pos, "%q is none of #true #false #null #inf #-inf #nan, nor a raw string", v.Text)
	}
	return v, nil
}

// raw reads a string in which a backslash is only that.
func (r *reader) raw(hashes string, from Pos) (string, error) {
	long := r.starts(`"""`)
	quotes := `"`
	if long {
		quotes = `"""`
	}
	r.skip(len(quotes))
	begin, closing := r.off, quotes+hashes
	for !r.starts(closing) {
		if c := r.next(); c == end || isNewline(c) && !long {
			return "", r.errorAt(from, "this string has no end%s", onOneLine(long))
		}
	}
	body := r.text[begin:r.off]
	r.skip(len(closing))
	if !long {
		return body, nil
	}
	return r.dedent(body, from, false)
}

func onOneLine(long bool) string {
	if long {
		return ""
	}
	return ` on its line; one of several lines stands between """ and """`
}

// quoted reads a string with escapes.
func (r *reader) quoted() (string, error) {
	from := r.at
	long := r.starts(`"""`)
	quotes := `"`
	if long {
		quotes = `"""`
	}
	r.skip(len(quotes))
	var b strings.Builder
	for !r.starts(quotes) {
		c := r.peek()
		switch {
		case c == end || isNewline(c) && !long:
			return "", r.errorAt(from, "this string has no end%s", onOneLine(long))
		case c == '\\':
			if err := r.escape(&b, long); err != nil {
				return "", err
			}
		default:
			b.WriteRune(c)
			r.next()
		}
	}
	r.skip(len(quotes))
	if !long {
		return b.String(), nil
	}
	return r.dedent(b.String(), from, true)
}

// escapes are those of one letter.
var escapes = map[rune]string{'"': `"`, '\\': `\`, 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 's': " "}

// escape reads one. In a string of several lines it is kept as it stands until
// the lines have lost their indent, which an escape is no part of.
func (r *reader) escape(b *strings.Builder, keep bool) error {
	from, begin := r.at, r.off
	r.skip(1)
	c := r.next()
	text, ok := escapes[c]
	switch {
	case ok:
	case c != end && isBlank(c): // takes away all space behind it, over lines
		r.take(isBlank)
		return nil
	case c == 'u' && r.peek() == '{':
		r.skip(1)
		hex := r.take(func(c rune) bool { return c != '}' && c != '"' && !isNewline(c) })
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil || len(hex) > 6 || !utf8.ValidRune(rune(n)) || r.next() != '}' {
			return r.errorAt(from, `want \u{...} with 1 to 6 hexadecimal digits of a character`)
		}
		text = string(rune(n))
	default:
		return r.errorAt(from, `an unknown escape; there are \" \\ \b \f \n \r \t \s \u{...}`)
	}
	if keep {
		text = r.text[begin:r.off]
	}
	b.WriteString(text)
	return nil
}

// dedent makes a string of the text between """ and """: it begins on a line of
// its own, and all lines lose the space before the closing quotes.
func (r *reader) dedent(body string, from Pos, escaped bool) (string, error) {
	lines := splitLines(body)
	indent := lines[len(lines)-1]
	if len(lines) < 2 || lines[0] != "" {
		return "", r.errorAt(from, `behind """ the string begins on the next line`)
	}
	if strings.TrimFunc(indent, isSpace) != "" {
		return "", r.errorAt(from, `the closing """ of this string must stand on a line of its own`)
	}
	lines = lines[1 : len(lines)-1]
	for i, line := range lines {
		rest, ok := strings.CutPrefix(line, indent)
		switch {
		case strings.TrimFunc(line, isSpace) == "":
			rest = ""
		case !ok:
			return "", r.errorAt(from, `line %d of this string does not begin with the space that stands before its closing """`, i+1)
		}
		lines[i] = rest
	}
	text := strings.Join(lines, "\n")
	if !escaped {
		return text, nil
	}
	sub := &reader{text: text, mark: mark{at: from}}
	var b strings.Builder
	for c := sub.peek(); c != end; c = sub.peek() {
		if c == '\\' {
			if err := sub.escape(&b, false); err != nil {
				return "", err
			}
			continue
		}
		b.WriteRune(sub.next())
	}
	return b.String(), nil
}

// splitLines cuts text at all that ends a line.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var lines []string
	for {
		i := strings.IndexFunc(text, isNewline)
		if i < 0 {
			return append(lines, text)
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		lines, text = append(lines, text[:i]), text[i+size:]
	}
}
