//go:build linux

package main

import (
	"encoding/json"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// sample is one measurement.
type sample struct {
	Scenario string `json:"scenario"`
	Cell     string `json:"cell"`
	Peer     bool   `json:"peer,omitempty"` // not the switch under test
	Rep      int    `json:"rep"`
	Values   values `json:"values,omitempty"`
	Error    string `json:"error,omitempty"`

	Disturbed bool `json:"disturbed,omitempty"` // other programs took part of a CPU, in the last attempt too
}

// results is everything a run has measured.
type results struct {
	samples []sample
}

func (r *results) add(s sample) {
	for k, v := range s.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) { // JSON has no word for it, and it says "not measured" anyway
			delete(s.Values, k)
		}
	}
	r.samples = append(r.samples, s)
}

// series is one metric of one cell, by repetition.
func (r *results) series(scenario, cell, metric string) map[int]float64 {
	out := map[int]float64{}
	for _, s := range r.samples {
		if v, ok := s.Values[metric]; ok && s.Scenario == scenario && s.Cell == cell {
			out[s.Rep] = v
		}
	}
	return out
}

// summary of one metric over the repetitions.
type summary struct {
	n             int
	mid, min, max float64
}

func (r *results) sum(scenario, cell, metric string) summary {
	return summarize(r.series(scenario, cell, metric))
}

func summarize(series map[int]float64) summary {
	if len(series) == 0 {
		return summary{mid: math.NaN(), min: math.NaN(), max: math.NaN()}
	}
	v := make([]float64, 0, len(series))
	for _, x := range series {
		v = append(v, x)
	}
	return summary{n: len(v), mid: median(v), min: slices.Min(v), max: slices.Max(v)}
}

// ratio is the median of the ratios of each repetition.
func (r *results) ratio(scenario, a, b, metric string) float64 {
	return median(ratios(r.series(scenario, a, metric), r.series(scenario, b, metric)))
}

// errors lists what failed, each once.
func (r *results) errors() []sample {
	var out []sample
	for _, s := range r.samples {
		if s.Error != "" {
			out = append(out, s)
		}
	}
	return out
}

// disturbed counts the samples of a scenario ("": of all) that other programs had a part in.
func (r *results) disturbed(scenario string) (n int) {
	for _, s := range r.samples {
		if s.Disturbed && (scenario == "" || s.Scenario == scenario) {
			n++
		}
	}
	return n
}

// writeJSON stores all samples and what is needed to read them later.
func (r *results) writeJSON(path string, args []string) error {
	var u unix.Utsname
	unix.Uname(&u)
	b, err := json.MarshalIndent(map[string]any{
		"time":    time.Now().UTC().Format(time.RFC3339),
		"args":    args,
		"cpus":    runtime.NumCPU(),
		"kernel":  unix.ByteSliceToString(u.Release[:]),
		"go":      runtime.Version(),
		"samples": r.samples,
	}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
