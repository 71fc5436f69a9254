//go:build !linux

package mgmt

// peerOf is unknown here, so nobody may change anything.
func peerOf(int) caller { return caller{uid: -1} }
