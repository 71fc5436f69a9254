package cable

import (
	"syscall"
	"testing"
)

// A vde_switch is an end like any other: by its ctl door, at the port that was
// asked for.
func TestVDEEnd(t *testing.T) {
	v := vdeSwitch(t)
	a := startSwitch(t)
	sa, sv := a.plugIn(), run(t, "vde_plug", v).station()
	for _, args := range [][]string{{a.dir, v}, {v, a.dir}, {a.dir, "vde://" + v + "[7]"}, {"-p", "9", "-m", "0700", v, a.dir}} {
		p := run(t, self(args...)...)
		bothWays(t, sa, sv, usual...)
		p.signal(syscall.SIGTERM)
		p.want(0)
		a.awaitPorts(1)
	}
}
