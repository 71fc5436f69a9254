// Command testsum keeps the score of make test over several tools.
//
//	testsum FILE go COMMAND...        run a "go test -json" command
//	testsum FILE run NAME COMMAND...  run any command, which counts as one test
//	testsum FILE fuzz TIME            run each fuzz target below . for TIME
//	testsum FILE skip NAME REASON     note a test that cannot run here
//	testsum FILE summary              say what was skipped and why, what failed and how,
//	                                  and end with "N passed, N failed, N skipped"
//
// FILE collects what happened as JSON lines in the form of go tool test2json.
// All but summary end with status 0 also when tests fail, so that the next
// tool gets its turn; summary ends with 1 then.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// An event is one line of FILE: see go doc test2json.
type event struct {
	Action      string
	Package     string  `json:",omitempty"`
	ImportPath  string  `json:",omitempty"` // of build output
	FailedBuild string  `json:",omitempty"` // the ImportPath that failed
	Test        string  `json:",omitempty"`
	Elapsed     float64 `json:",omitempty"` // seconds
	Output      string  `json:",omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "testsum: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("want FILE and one of go, run, fuzz, skip, summary")
	}
	path, verb, args := args[0], args[1], args[2:]
	if verb == "summary" {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := summarise(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		s.print(os.Stdout)
		if s.failedCount() > 0 {
			os.Exit(1) // the last line on the screen is the summary's
		}
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	r := recorder{enc: json.NewEncoder(file), screen: os.Stdout}
	switch {
	case verb == "go" && len(args) >= 1:
		err = r.goTest(args)
	case verb == "run" && len(args) >= 2:
		err = r.command(args[0], args[1:])
	case verb == "fuzz" && len(args) == 1:
		err = r.fuzz(".", args[0])
	case verb == "skip" && len(args) == 2:
		err = r.record(event{Action: "output", Test: args[0], Output: args[1] + "\n"},
			event{Action: "skip", Test: args[0]})
	default:
		err = fmt.Errorf("%s: unknown, or wrong number of arguments", verb)
	}
	return errors.Join(err, file.Close())
}

// A recorder appends events to FILE and shows progress.
type recorder struct {
	enc    *json.Encoder
	screen io.Writer
}

func (r recorder) record(events ...event) error {
	for _, e := range events {
		if err := r.enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// progress prints one line about something that ended.
func (r recorder) progress(action, name string, seconds float64) {
	fmt.Fprintf(r.screen, "  %-4s  %6.1f s  %s\n", action, seconds, name)
}

// command runs one command and counts it as one test.
func (r recorder) command(name string, argv []string) error {
	return r.note(attempt(nil, name, argv))
}

// An outcome is what has become of a command.
type outcome struct {
	name, action string
	output       string
	seconds      float64
}

// attempt runs a command. It also passes when it fails with output that excuses
// it; nil excuses nothing.
func attempt(excuse *regexp.Regexp, name string, argv []string) outcome {
	begin := time.Now()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	action := "pass"
	if err != nil && (excuse == nil || !excuse.Match(out)) {
		action = "fail"
		out = fmt.Appendf(out, "%s: %v\n", strings.Join(argv, " "), err)
	}
	return outcome{name, action, string(out), time.Since(begin).Seconds()}
}

// note records what has become of a command.
func (r recorder) note(o outcome) error {
	r.progress(o.action, o.name, o.seconds)
	return r.record(event{Action: "output", Test: o.name, Output: o.output},
		event{Action: o.action, Test: o.name, Elapsed: o.seconds})
}

// goTest runs a go test -json command and records its events.
func (r recorder) goTest(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	failed := false
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				stderr.Write(line) // not an event: the go command itself speaks
				continue
			}
			if err := r.record(e); err != nil {
				return err
			}
			failed = failed || e.Action == "fail"
			r.show(e)
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil && !failed {
		name := strings.Join(argv, " ")
		fmt.Fprintln(&stderr, err)
		r.progress("fail", name, 0)
		return r.record(event{Action: "output", Test: name, Output: stderr.String()}, event{Action: "fail", Test: name})
	}
	return nil
}

// show prints packages, failed tests, and tests that took a while.
func (r recorder) show(e event) {
	switch e.Action {
	case "pass", "fail", "skip":
	default:
		return
	}
	switch {
	case e.Test == "" && e.Action == "skip": // a package without tests
	case e.Test == "":
		r.progress(e.Action, e.Package, e.Elapsed)
	case e.Action != "pass", e.Elapsed >= 2 && !strings.Contains(e.Test, "/"):
		r.progress(e.Action, e.Package+" "+e.Test, e.Elapsed)
	}
}
