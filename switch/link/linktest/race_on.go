//go:build race

package linktest

// raceEnabled tells whether memory accesses are watched, which makes all of
// them slow.
const raceEnabled = true
