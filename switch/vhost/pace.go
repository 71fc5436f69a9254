package vhost

import (
	"time"

	"vnetkit/switch/link"
)

// maxHold bounds hold=TIME: as long as that, what a sender has for others waits, too.
const maxHold = 10 * time.Second

// takePace moves the keys that say how a guest is served from a Spec.
func (o *options) takePace(in *link.Spec) (err error) {
	if v, ok := in.Take("poll"); ok {
		switch v {
		case "always":
			o.polled = true
		case "auto":
		default:
			return link.Errorf("poll=%s: want always or auto", v)
		}
	}
	if v, ok := in.Take("hold"); ok {
		if o.hold, err = time.ParseDuration(v); err != nil || o.hold < 0 || o.hold > maxHold {
			return link.Errorf("hold=%s: want a time from 0 to %v, such as 20ms", v, maxHold)
		}
	}
	return nil
}
