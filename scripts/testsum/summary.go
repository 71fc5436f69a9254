package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A result is what is known of one test, package or build.
type result struct {
	name   string
	action string // pass, fail, skip; "" when it never ended
	output strings.Builder

	parent   bool // of subtests
	isTest   bool
	builds   bool   // the output of a compiler
	excuse   bool   // failed or skipped for a reason that another line names
	buildKey string // key of the build that broke this package
}

// A summary has all results, in the order of their first mention.
type summary struct {
	results []*result
	byKey   map[string]*result
}

func (s *summary) get(key, name string) *result {
	r := s.byKey[key]
	if r == nil {
		r = &result{name: name}
		s.byKey[key] = r
		s.results = append(s.results, r)
	}
	return r
}

// summarise reads events.
func summarise(events io.Reader) (*summary, error) {
	s := &summary{byKey: map[string]*result{}}
	for dec := json.NewDecoder(events); ; {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		s.add(e)
	}
	s.settle()
	return s, nil
}

func (s *summary) add(e event) {
	if e.ImportPath != "" {
		r := s.get("build "+e.ImportPath, e.ImportPath)
		r.builds = true
		r.output.WriteString(e.Output)
		return
	}
	key := e.Package + " " + e.Test
	r := s.get(key, strings.TrimSpace(key))
	r.isTest = e.Test != ""
	switch e.Action {
	case "output":
		r.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		r.action = e.Action
		if e.FailedBuild != "" {
			r.buildKey = "build " + e.FailedBuild
		}
	}
}

// settle decides which results count: tests without subtests, and everything
// else only if it failed or was skipped and nothing below it says why.
func (s *summary) settle() {
	for key, r := range s.byKey {
		if r.builds {
			continue
		}
		pkg, test, _ := strings.Cut(key, " ")
		for i := strings.LastIndexByte(test, '/'); i > 0; i = strings.LastIndexByte(test[:i], '/') {
			if p := s.byKey[pkg+" "+test[:i]]; p != nil {
				p.parent = true
				p.excuse = p.excuse || p.action == r.action
			}
		}
		if p := s.byKey[pkg+" "]; p != nil && r.isTest && pkg != "" {
			// A test that never ended took its package down and counts itself.
			p.excuse = p.excuse || r.action == "fail" || r.action == ""
		}
		if b := s.byKey[r.buildKey]; b != nil {
			r.output.WriteString(b.output.String())
		}
	}
}

// verdict is how r counts: pass, fail, skip, or "" for not at all.
func (r *result) verdict() string {
	switch {
	case r.builds:
		return ""
	case !r.isTest || r.parent:
		if r.action == "fail" && !r.excuse || r.action == "skip" && r.isTest && !r.excuse {
			return r.action
		}
		return ""
	case r.action == "":
		return "fail"
	}
	return r.action
}

func (s *summary) count(verdict string) (n int) {
	for _, r := range s.results {
		if r.verdict() == verdict {
			n++
		}
	}
	return n
}

func (s *summary) failedCount() int { return s.count("fail") }

func (s *summary) print(w io.Writer) {
	for _, r := range s.results {
		if r.verdict() == "skip" {
			fmt.Fprintf(w, "skipped: %s: %s\n", r.name, r.reason())
		}
	}
	for _, r := range s.results {
		if r.verdict() == "fail" {
			fmt.Fprintf(w, "\nFAILED: %s\n%s\n", r.name, indent(r.output.String()))
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.count("pass"), s.count("fail"), s.count("skip"))
}

// reason is what a skipped test said, without the testing package's frame and file names.
func (r *result) reason() string {
	var said []string
	for line := range strings.Lines(r.output.String()) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, text, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok = strings.Cut(text, ": "); ok {
				line = text
			}
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// indent sets text apart, and cuts out the middle of a very long one.
func indent(text string) string {
	const limit = 200
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if cut := len(lines) - limit; cut > 0 {
		lines = append(append(lines[:limit/2:limit/2], fmt.Sprintf("... %d lines ...", cut)), lines[limit/2+cut:]...)
	}
	return "    " + strings.Join(lines, "\n    ")
}
