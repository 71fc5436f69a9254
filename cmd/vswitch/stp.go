package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/pflag"

	vswitch "vnetkit/switch"
	"vnetkit/switch/stp"
)

// stpOptions is what the command line says about the spanning tree.
type stpOptions struct {
	mode                   string
	priority               int
	hello, maxAge, forward time.Duration
}

func (o *stpOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.mode, "stp", "off", "break rings of switches in `MODE` rstp (one tree for all VLANs), fstp (one for each, as vde_switch -F) or off")
	f.IntVar(&o.priority, "stp-priority", stp.DefaultPriority, "the bridge with the lowest priority is the root, 0 to 65535")
	f.DurationVar(&o.hello, "stp-hello", stp.DefaultHello*time.Second, "say hello to other bridges so often")
	f.DurationVar(&o.maxAge, "stp-max-age", stp.DefaultMaxAge*time.Second, "forget a root that was not heard of for this `TIME`")
	f.DurationVar(&o.forward, "stp-forward-delay", stp.DefaultForward*time.Second, "wait this `TIME` before each step where a neighbour cannot agree")
}

// check checks what the switch would not see any more.
func (o *stpOptions) check() error {
	if o.priority < 0 || o.priority > math.MaxUint16 {
		return fmt.Errorf("--stp-priority %d: want 0 to %d", o.priority, math.MaxUint16)
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"stp-hello", o.hello}, {"stp-max-age", o.maxAge}, {"stp-forward-delay", o.forward}} {
		if t.d < time.Second || t.d%time.Second != 0 {
			return fmt.Errorf("--%s %v: want whole seconds, such as 2s", t.name, t.d)
		}
	}
	return nil
}

// config is what the switch is told.
func (o *stpOptions) config() vswitch.STPConfig {
	priority := uint16(o.priority)
	return vswitch.STPConfig{Mode: vswitch.STPMode(o.mode), Config: stp.Config{
		Priority: &priority,
		Hello:    int(o.hello / time.Second),
		MaxAge:   int(o.maxAge / time.Second),
		Forward:  int(o.forward / time.Second),
	}}
}
