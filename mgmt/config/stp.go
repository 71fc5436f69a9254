package config

import (
	"strconv"
	"time"

	vswitch "vnetkit/switch"
)

// stpNames are the keys of Settings about rings and storms.
var stpNames = []string{"edge", "cost", "priority", "bpduguard", "rootguard", "storm"}

// stpNone is what they are when nothing is said.
var stpNone = Settings{"edge": "auto", "cost": "0", "priority": "0", "bpduguard": "off", "rootguard": "off", "storm": "off"}

func stpCanonical(key string, cfg vswitch.PortConfig) string {
	switch key {
	case "edge":
		return cfg.STP.Edge.String()
	case "cost":
		return strconv.Itoa(cfg.STP.Cost)
	case "priority":
		return strconv.Itoa(cfg.STP.Priority)
	case "bpduguard":
		return onOff(cfg.STP.BPDUGuard)
	case "rootguard":
		return onOff(cfg.STP.RootGuard)
	case "storm":
		return cfg.Storm.String()
	}
	return ""
}

// stpPortChange makes one of them part of a change.
func stpPortChange(ch *vswitch.PortChange, key string, cfg *vswitch.PortConfig) {
	switch key {
	case "edge":
		ch.Edge = &cfg.STP.Edge
	case "cost":
		ch.Cost = &cfg.STP.Cost
	case "priority":
		ch.Priority = &cfg.STP.Priority
	case "bpduguard":
		ch.BPDUGuard = &cfg.STP.BPDUGuard
	case "rootguard":
		ch.RootGuard = &cfg.STP.RootGuard
	case "storm":
		ch.Storm = &cfg.Storm
	}
}

// stpValue makes one of the switch's own settings part of a change.
func stpValue(ch *vswitch.Change, key, value string) {
	if ch.STP == nil {
		ch.STP = &vswitch.STPChange{}
	}
	whole := int(parsePeriod(value) / time.Second)
	switch key {
	case "stp":
		mode := vswitch.STPMode(value)
		ch.STP.Mode = &mode
	case "stp-priority":
		n, _ := strconv.Atoi(value)
		priority := uint16(n)
		ch.STP.Priority = &priority
	case "stp-hello":
		ch.STP.Hello = &whole
	case "stp-max-age":
		ch.STP.MaxAge = &whole
	case "stp-forward-delay":
		ch.STP.Forward = &whole
	}
}

// putSTP writes down how a running switch's spanning tree is set.
func (c *Config) putSTP(cfg vswitch.STPConfig) {
	c.Put("stp", string(cfg.Mode))
	c.Put("stp-priority", strconv.Itoa(int(*cfg.Priority)))
	for key, n := range map[string]int{"stp-hello": cfg.Hello, "stp-max-age": cfg.MaxAge, "stp-forward-delay": cfg.Forward} {
		c.Put(key, (time.Duration(n) * time.Second).String())
	}
}
