package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

const (
	macroBegin   = "{MACRO:"
	defaultMacro = "default" // the file of macros that name none
	maxMacros    = 256       // put into one text
	maxText      = 64 << 10  // bytes of a text with its macros
)

// expand puts in what macros stand for: {MACRO:name}, {MACRO:name%file}, and as
// ctys writes it {MACRO:name%file%ECHO}. Its EVAL, which hands the text to a
// shell, is refused. A macro may have macros in it.
func (b Book) expand(text string) (string, error) {
	for n := 0; ; n++ {
		begin := strings.LastIndex(text, macroBegin) // the innermost first
		if begin < 0 {
			return text, nil
		}
		inner, after, closed := strings.Cut(text[begin+len(macroBegin):], "}")
		if !closed {
			return "", errors.New("a macro has no closing brace")
		}
		value, err := b.macro(inner)
		if err != nil {
			return "", err
		}
		text = text[:begin] + value + after
		if n == maxMacros || len(text) > maxText {
			return "", fmt.Errorf("macro %q: it stands for too much; is it in itself?", inner)
		}
	}
}

// macro looks up name%file%how.
func (b Book) macro(inner string) (string, error) {
	name, rest, _ := strings.Cut(inner, "%")
	file, how, _ := strings.Cut(rest, "%")
	switch strings.ToUpper(file) { // ctys lets the file be left away
	case "ECHO", "EVAL":
		file, how = "", file
	}
	if file == "" {
		file = defaultMacro
	}
	switch strings.ToUpper(how) {
	case "", "ECHO":
	case "EVAL":
		return "", fmt.Errorf("macro %q: EVAL would run it as a program, which is not done here", name)
	default:
		return "", fmt.Errorf("macro %q: %q means nothing here", name, how)
	}
	if err := checkWord("macro", name, "._-"); err != nil {
		return "", err
	}
	if err := checkGroup(file); err != nil {
		return "", fmt.Errorf("macro %q: %w", name, err)
	}
	text, path, err := readFirst(b.Macros, file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("macro %q: there is no file %q in %s", name, file, strings.Join(b.Macros, ", "))
	}
	if err != nil {
		return "", fmt.Errorf("macro %q: %w", name, err)
	}
	value, found := findMacro(text, name)
	if !found {
		return "", fmt.Errorf("macro %q: %s has none of this name", name, path)
	}
	return value, nil
}

// findMacro finds "name = text". A line that ends with a backslash goes on in the
// next one; comments and empty lines say nothing.
func findMacro(text, name string) (value string, found bool) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\\\n", " ")
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
