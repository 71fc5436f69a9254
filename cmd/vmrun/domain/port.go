package domain

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// port understands what is asked of the port that the card is plugged into, and
// not of the card. It says so in the keys of a switch's port.
func (b *builder) port(mode string, c *element) error {
	if mode != "network" && (mode != "bridge" || c.name != "port") {
		return lineError(c.line, "<%s> is set on a port of a switch, which is type network with the switch's name; going without it would not be what was asked for", c.name)
	}
	switch c.name {
	case "vlan":
		return b.vlan(c)
	case "bandwidth":
		return b.bandwidth(c)
	case "filterref":
		return b.filter(c)
	}
	b.passOver(c, "isolated")
	switch v := c.attrs["isolated"]; v {
	case "yes":
		b.add("isolated", "on")
	case "no", "":
	default:
		return lineError(c.line, "port isolated=%q: want yes or no", v)
	}
	return nil
}

// warn notes something about e that nobody has to mend.
func (b *builder) warn(e *element, format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf("line %d: ", e.line)+fmt.Sprintf(format, args...))
}

// passOver warns of attributes of c that are none of those known.
func (b *builder) passOver(c *element, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(c.attrs)) {
		if !slices.Contains(known, key) {
			b.warn(c, "%s %s=%q is not known, and passed over", c.name, key, c.attrs[key])
		}
	}
}

// vlan understands one tag, or a trunk. A trunk takes frames without a tag only
// where one of its tags is native.
func (b *builder) vlan(c *element) error {
	b.passOver(c, "trunk")
	trunk, native, mode, others := c.attrs["trunk"] == "yes", "", "none", []string{}
	if t := c.attrs["trunk"]; t != "" && t != "yes" && t != "no" {
		return lineError(c.line, "vlan trunk=%q: want yes or no", t)
	}
	count := 0
	for _, tag := range c.children {
		if tag.name != "tag" {
			b.warn(tag, "<%s> is not known, and passed over", tag.name)
			continue
		}
		b.passOver(tag, "id", "nativeMode")
		count++
		id, err := strconv.ParseUint(tag.attrs["id"], 10, 12)
		if err != nil || id == 0 || id == 4095 {
			return lineError(tag.line, "tag id=%q: want a VLAN from 1 to 4094", tag.attrs["id"])
		}
		switch m := tag.attrs["nativeMode"]; {
		case m == "":
			others = append(others, strconv.FormatUint(id, 10))
		case m != "untagged" && m != "tagged":
			return lineError(tag.line, "nativeMode=%q: want untagged or tagged", m)
		case native != "":
			return lineError(tag.line, "a second native VLAN")
		default:
			native, mode, trunk = strconv.FormatUint(id, 10), m, true
		}
	}
	switch {
	case count == 0:
		return lineError(c.line, "<vlan> without a <tag>")
	case c.attrs["trunk"] == "no" && (trunk || count > 1):
		return lineError(c.line, "vlan trunk='no' with more than one tag or a native VLAN")
	case !trunk && count == 1:
		native, mode, others = others[0], "untagged", nil
	}
	if native != "" {
		b.add("vlan", native)
	}
	if mode != "untagged" {
		b.add("native", mode)
	}
	if len(others) == 0 {
		others = []string{"none"}
	}
	b.add("tagged", strings.Join(others, "+"))
	return nil
}

// maxRate is the highest average, in kilobytes per second, that the switch has.
const maxRate = 1e12 / 8000

// bandwidth understands the averages. libvirt counts kilobytes of 1,000 bytes, as
// tc(8) does, which it gives them to; inbound is what the guest receives.
func (b *builder) bandwidth(c *element) error {
	b.passOver(c)
	var rates []string
	for _, side := range c.children {
		prefix := map[string]string{"inbound": "out-", "outbound": "in-"}[side.name] // as the switch sees it
		if prefix == "" {
			b.warn(side, "<%s> is not known, and passed over", side.name)
			continue
		}
		for _, key := range []string{"peak", "burst", "floor"} {
			if v := side.attrs[key]; v != "" {
				b.warn(side, "%s %s=%q is passed over: the switch keeps to the average at all times", side.name, key, v)
			}
		}
		b.passOver(side, "average", "peak", "burst", "floor")
		average := side.attrs["average"]
		if average == "" && side.attrs["floor"] != "" {
			continue
		}
		n, err := strconv.ParseUint(average, 10, 64)
		if err != nil || n == 0 || n > maxRate {
			return lineError(side.line, "%s average=%q: want kilobytes per second, from 1 to %d", side.name, average, uint64(maxRate))
		}
		rates = append(rates, fmt.Sprintf("%srate:%dk", prefix, 8*n))
	}
	b.add("impair", strings.Join(rates, "+"))
	return nil
}

// filter understands the one filter that the switch has: of frames whose source
// address is not the card's, or one of those that parameters named MAC give.
func (b *builder) filter(c *element) error {
	if f := c.attrs["filter"]; f != "no-mac-spoofing" {
		return lineError(c.line, "filter %q cannot be had, and going without it would not be what was asked for; the switch has no-mac-spoofing alone", f)
	}
	b.passOver(c, "filter")
	var macs []string
	for _, p := range c.children {
		switch {
		case p.name != "parameter" || p.attrs["name"] != "MAC":
			b.warn(p, "<%s> %s is not known, and passed over", p.name, p.attrs["name"])
		case p.attrs["value"] == "":
			return lineError(p.line, "parameter MAC without a value")
		default:
			macs = append(macs, p.attrs["value"])
		}
	}
	if macs == nil {
		macs = []string{"own"}
	}
	b.add("allowmac", strings.Join(macs, "+"))
	return nil
}
