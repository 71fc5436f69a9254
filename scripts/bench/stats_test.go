//go:build linux

package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestPercentile(t *testing.T) {
	s := make([]uint32, 1000)
	for i := range s {
		s[i] = uint32(i + 1)
	}
	for p, want := range map[float64]float64{0: 1, 50: 500, 99: 990, 99.9: 999, 100: 1000} {
		if got := percentile(s, p); got != want {
			t.Errorf("percentile %v = %v, want %v", p, got, want)
		}
	}
	if percentile([]uint32{7}, 99) != 7 || !math.IsNaN(percentile(nil, 50)) {
		t.Error("one or no sample")
	}
}

func TestRatioIsTakenWithinARepetition(t *testing.T) {
	r := &results{}
	for rep, v := range [][2]float64{{10, 20}, {1, 1}, {30, 40}} { // the machine was slow in the second one
		r.add(sample{Scenario: "s", Cell: "a", Rep: rep, Values: values{mFPS: v[0]}})
		r.add(sample{Scenario: "s", Cell: "b", Rep: rep, Values: values{mFPS: v[1]}})
	}
	r.add(sample{Scenario: "s", Cell: "a", Rep: 3, Values: values{mFPS: 1000}}) // b failed
	if got := r.ratio("s", "a", "b", mFPS); got != 0.75 {
		t.Errorf("ratio = %v, want 0.75", got)
	}
}

func TestResultsDropWhatWasNotMeasured(t *testing.T) {
	r := &results{}
	r.add(sample{Scenario: "s", Cell: "a", Values: values{mP50: math.NaN(), mFPS: 1}})
	if n := r.sum("s", "a", mP50).n; n != 0 {
		t.Errorf("%d samples of NaN", n)
	}
}

func TestParseProc(t *testing.T) {
	if got, err := parseRSS("Name:\tx\nVmRSS:\t   2048 kB\nThreads: 1\n"); err != nil || got != 2<<20 {
		t.Errorf("parseRSS = %v, %v", got, err)
	}
	if _, err := parseRSS("Name:\tx\n"); err == nil {
		t.Error("no error without VmRSS")
	}
	if got, err := parseIdle("cpu  1 2 3 400 50 6 7 8 0 0\ncpu0 1\n"); err != nil || got != 4500*time.Millisecond {
		t.Errorf("parseIdle = %v, %v", got, err)
	}
	if _, err := parseIdle("intr 1 2 3"); err == nil {
		t.Error("no error without a cpu line")
	}
}

func TestTargetsVerdict(t *testing.T) {
	r := &results{}
	for cell, fps := range map[string]float64{"vswitch": 8, "copy": 10, "vde_switch": 0.5} {
		r.add(sample{Scenario: "pair/64/64", Cell: cell, Values: values{mFPS: fps * 1e6}})
	}
	var out bytes.Buffer
	if missed := printTargets(&out, r); missed != 1 {
		t.Errorf("missed %d targets, want 1", missed)
	}
	for _, want := range []string{">= 0.8", " ok", ">= 30", "MISS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestTableAligns(t *testing.T) {
	var out bytes.Buffer
	printTable(&out, [][]string{{"what", "who", "n"}, {"a", "bb", "10"}, {"ccc", "d", "9"}})
	if got, want := out.String(), "what  who   n\na     bb   10\nccc   d     9\n"; got != want {
		t.Errorf("got\n%q want\n%q", got, want)
	}
}

func TestRatiosOfNothing(t *testing.T) {
	if got := ratios(map[int]float64{0: 1}, map[int]float64{1: 1, 0: 0}); len(got) != 0 {
		t.Errorf("ratios = %v", got)
	}
}
