//go:build linux

package main

import (
	"math"
	"slices"
)

// median of some values; NaN of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	m := len(s) / 2
	if len(s)%2 == 1 {
		return s[m]
	}
	return (s[m-1] + s[m]) / 2
}

// percentile p (0..100) of sorted samples: the smallest one that at least p percent do not exceed; NaN of none.
func percentile(sorted []uint32, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	i := int(math.Ceil(p/100*float64(len(sorted))-1e-6)) - 1 // 99.9 % of 1000 is not quite 999 in binary
	return float64(sorted[min(max(i, 0), len(sorted)-1)])
}

// ratios divides sample by sample of the same repetition; repetitions that lack one of the two are left out.
func ratios(a, b map[int]float64) []float64 {
	var out []float64
	for rep, v := range a {
		if w, ok := b[rep]; ok && w != 0 && !math.IsNaN(v) && !math.IsNaN(w) {
			out = append(out, v/w)
		}
	}
	slices.Sort(out)
	return out
}
