//go:build !race

package plug

// raceEnabled tells whether memory accesses are watched, which makes all of
// them slow.
const raceEnabled = false
