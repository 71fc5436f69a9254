//go:build race

package plug

const raceEnabled = true
