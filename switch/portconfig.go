package vswitch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vnetkit/switch/frame"
)

// Text writes the settings in c, number and name left out, as ParsePortConfig
// reads them. What is as it would be anyway is left out, too.
func (c PortConfig) Text() string {
	var parts []string
	add := func(given bool, key, value string) {
		if given {
			parts = append(parts, key+"="+value)
		}
	}
	add(c.PVID != 0, "vlan", strconv.Itoa(int(c.PVID)))
	add(c.Native != NativeUntagged, "native", c.Native.String())
	if c.Tagged != nil {
		add(true, "tagged", c.Tagged.String())
	}
	add(c.Transparent, "transparent", "on")
	add(c.Isolated, "isolated", "on")
	add(c.Down, "down", "on")
	add(c.MTU != 0 && c.MTU != frame.MaxMTU, "mtu", strconv.Itoa(c.MTU))
	add(c.MACLimit != 0, "maclimit", strconv.Itoa(c.MACLimit))
	add(!c.Sources.any(), "allowmac", c.Sources.String())
	add(c.Unsaved, "save", "off")
	add(len(c.Mirror) > 0, "mirror", mirrorText(c.Mirror))
	return strings.Join(parts, ",")
}

// validateDefault checks c as the settings of ports whose Spec says nothing.
func (c PortConfig) validateDefault() error {
	err := c.Validate()
	if err == nil && c.Unsaved {
		err = fmt.Errorf("%w: save=off is for single ports", ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("default port settings: %w", err)
	}
	return nil
}

func setSaved(c *PortConfig, v string) error {
	saved, err := onOff(v)
	c.Unsaved = !saved
	return err
}

// showsItself tells whether port id, set to c, would be a mirror of itself.
func (c PortConfig) showsItself(id int) bool {
	return slices.ContainsFunc(c.Mirror, func(m MirrorFrom) bool {
		return m.Port == strconv.Itoa(id) || m.Port == cmp.Or(c.Name, defaultName(id))
	})
}
