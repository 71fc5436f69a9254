package link

import (
	"context"
	"time"
)

// recoverTime is how long who waits for clients waits after a failure.
const recoverTime = 100 * time.Millisecond

// Recover waits a moment after a client could not be taken, or fails when ctx
// ends: we are out of descriptors or memory, and others may give some back.
func Recover(ctx context.Context) error {
	t := time.NewTimer(recoverTime)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
