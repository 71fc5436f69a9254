package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// table is text in aligned columns.
type table struct {
	columns []column
	rows    [][]string
	names   []string // what -o name prints: a name for each thing listed
}

type column struct {
	head  string
	right bool                // numbers
	wide  bool                // only shown with -o wide
	paint func(string) string // the terminal's colour for a value; nil: none
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes t. What came from outside cannot play tricks on the terminal,
// and an empty cell shows as a dash so that columns can be counted.
func (t *table) print(w io.Writer, headers, colour bool) {
	width := make([]int, len(t.columns))
	if headers {
		for i, c := range t.columns {
			width[i] = utf8.RuneCountInString(c.head)
		}
	}
	for _, row := range t.rows {
		for i := range row {
			if row[i] = printable(row[i]); row[i] == "" {
				row[i] = "-"
			}
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	line := func(cells []string, paint bool) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if paint && t.columns[i].paint != nil {
				cell = t.columns[i].paint(cell)
			}
			if i > 0 {
				b.WriteString("  ")
			}
			switch {
			case t.columns[i].right:
				b.WriteString(pad + cell)
			case i < len(cells)-1:
				b.WriteString(cell + pad)
			default:
				b.WriteString(cell)
			}
		}
		b.WriteByte('\n')
	}
	if headers {
		heads := make([]string, len(t.columns))
		for i, c := range t.columns {
			heads[i] = c.head
		}
		line(heads, false)
	}
	for _, row := range t.rows {
		line(row, colour)
	}
	_, _ = io.WriteString(w, b.String())
}

// printJSON writes v for programs.
func (a *app) printJSON(v any) error {
	enc := jsonLines(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// jsonLines writes each value on a line. People read it, too, so "->" stays.
func jsonLines(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// printable replaces what could play tricks on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// paintState colours a port's state.
func paintState(s string) string {
	switch s {
	case "up":
		return "\x1b[32m" + s + "\x1b[0m"
	case "waiting":
		return "\x1b[33m" + s + "\x1b[0m"
	case "down":
		return "\x1b[31m" + s + "\x1b[0m"
	}
	return s
}

// human writes a count in at most five characters: 9999, 12.3k, 4.56M.
func human(n float64) string {
	if n < 10000 {
		return fmt.Sprintf("%.0f", n)
	}
	const units = "kMGTPE"
	for i := 0; ; i++ {
		n /= 1000
		switch {
		case n < 9.995:
			return fmt.Sprintf("%.2f%c", n, units[i])
		case n < 99.95:
			return fmt.Sprintf("%.1f%c", n, units[i])
		case n < 999.5 || i == len(units)-1:
			return fmt.Sprintf("%.0f%c", n, units[i])
		}
	}
}

func humanUint(n uint64) string { return human(float64(n)) }

// age writes a duration with its two largest units: 12s, 3m5s, 4h10m, 2d3h.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
}
