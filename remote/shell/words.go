// Package shell writes words for a POSIX shell and reads them as one does.
package shell

import (
	"errors"
	"strings"
)

// plain are characters that no POSIX shell does anything with.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-"

// Quote writes words so that a POSIX shell reads just these words (POSIX.1-2017,
// Shell Command Language, 2.2.2). An equals sign in the first word would make it
// an assignment, and zsh expands words that begin with one; those are quoted.
func Quote(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if w != "" && strings.Trim(w, plain) == "" && w[0] != '=' && (i > 0 || !strings.Contains(w, "=")) {
			b.WriteString(w)
			continue
		}
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(w, "'", `'\''`))
		b.WriteByte('\'')
	}
	return b.String()
}

// Words divides text as a POSIX shell does, without expanding anything: quotes of
// both kinds and backslashes are understood, all else is itself.
func Words(text string) (words []string, err error) {
	var w strings.Builder
	inWord := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t', '\n':
			if inWord {
				words = append(words, w.String())
				w.Reset()
				inWord = false
			}
			continue
		case '\'':
			n := strings.IndexByte(text[i+1:], '\'')
			if n < 0 {
				return nil, errors.New("a quote has no other")
			}
			w.WriteString(text[i+1 : i+1+n])
			i += n + 1
		case '"':
			n, inner, ok := doubleQuoted(text[i+1:])
			if !ok {
				return nil, errors.New("a quote has no other")
			}
			w.WriteString(inner)
			i += n
		case '\\':
			if i++; i == len(text) {
				return nil, errors.New("a backslash at the end")
			}
			if text[i] == '\n' { // goes on in the next line
				continue
			}
			w.WriteByte(text[i])
		default:
			w.WriteByte(c)
		}
		inWord = true
	}
	if inWord {
		words = append(words, w.String())
	}
	return words, nil
}

// doubleQuoted reads up to the closing quote, and returns how much that was.
func doubleQuoted(text string) (n int, inner string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, b.String(), true
		case c == '\\' && i+1 < len(text) && text[i+1] == '\n':
			i++
		case c == '\\' && i+1 < len(text) && strings.IndexByte("$`\"\\", text[i+1]) >= 0:
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return 0, "", false
}
