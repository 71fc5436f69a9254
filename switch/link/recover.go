package link

import "time"

// recoverTime is how long who waits for clients waits after a failure.
const recoverTime = 100 * time.Millisecond

// Recover is Pause for who could not take a client: we are out of descriptors or
// memory, and others may give some back.
func Recover(done <-chan struct{}) bool { return Pause(done, recoverTime) }

// Pause waits for d. It returns false at once when done is closed.
func Pause(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
