package domain

import (
	"fmt"
	"strconv"
)

// taps are the modes whose host side is a device with a name.
var taps = map[string]bool{"bridge": true, "ethernet": true, "direct": true}

// detail understands one child of an interface.
func (b *builder) detail(mode string, c *element) error {
	switch c.name {
	case "source", "ip", "backend", "alias", "address", "acpi", "guest", "route": // seen to, or of no meaning here
	case "mac":
		b.add("mac", c.attrs["address"])
	case "model":
		b.add("model", c.attrs["type"])
	case "mtu":
		b.add("mtu", c.attrs["size"])
	case "boot":
		b.add("boot", c.attrs["order"])
	case "link":
		b.add("link", c.attrs["state"])
	case "target":
		if taps[mode] {
			b.add("ifname", c.attrs["dev"])
		}
		if c.attrs["managed"] != "" && mode == "ethernet" {
			b.add("managed", c.attrs["managed"])
		}
	case "script", "downscript":
		if mode != "ethernet" && (mode != "bridge" || c.name == "downscript") {
			return lineError(c.line, "<%s> belongs to type ethernet", c.name)
		}
		b.add(c.name, c.attrs["path"])
	case "driver":
		return b.driver(c)
	case "portForward":
		return b.forward(mode, c)
	case "vlan", "bandwidth", "port", "filterref":
		return b.port(mode, c)
	case "virtualport", "teaming", "rom", "tune", "coalesce":
		return lineError(c.line, "<%s> cannot be had from vmrun yet, and going without it would not be what was asked for", c.name)
	default:
		b.warn(c, "<%s> is not known, and passed over", c.name)
	}
	return nil
}

// driver understands queues and offloads.
func (b *builder) driver(c *element) error {
	b.add("queues", c.attrs["queues"])
	b.add("rxqueue", c.attrs["rx_queue_size"])
	b.add("txqueue", c.attrs["tx_queue_size"])
	b.passOver(c, "name", "queues", "rx_queue_size", "tx_queue_size")
	for _, side := range c.children {
		prefix := map[string]string{"host": "host_", "guest": "guest_"}[side.name]
		if prefix == "" {
			return lineError(side.line, "<%s> in <driver>: want host or guest", side.name)
		}
		for _, key := range []string{"csum", "gso", "tso4", "tso6", "ecn", "ufo", "mrg_rxbuf"} {
			value := side.attrs[key]
			if value == "" {
				continue
			}
			if value != "on" && value != "off" {
				return lineError(side.line, "%s=%q: want on or off", key, value)
			}
			property := prefix + key
			if side.name == "host" && (key == "csum" || key == "gso" || key == "mrg_rxbuf") {
				property = key
			}
			b.add("device", property+"="+value)
		}
	}
	return nil
}

// maxForwards is how many ports one file may forward.
const maxForwards = 1024

// forward makes hostfwd of ports and ranges, but for those that are excluded.
func (b *builder) forward(mode string, c *element) error {
	if mode != "user" {
		return lineError(c.line, "<portForward> belongs to type user, with QEMU's own backend")
	}
	proto := c.attrs["proto"]
	if proto != "tcp" && proto != "udp" {
		return lineError(c.line, "portForward proto=%q: want tcp or udp", proto)
	}
	excluded := map[uint64]bool{}
	for _, pass := range []string{"yes", ""} {
		for _, r := range c.children {
			if r.name != "range" || (r.attrs["exclude"] == "yes") != (pass == "yes") {
				continue
			}
			if err := b.forwardRange(c, r, excluded); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) forwardRange(c, r *element, excluded map[uint64]bool) error {
	port := func(key string, def uint64) (uint64, error) {
		if r.attrs[key] == "" && def > 0 {
			return def, nil
		}
		n, err := strconv.ParseUint(r.attrs[key], 10, 16)
		if err != nil || n == 0 {
			return 0, lineError(r.line, "range %s=%q: want a port", key, r.attrs[key])
		}
		return n, nil
	}
	start, err := port("start", 0)
	if err != nil {
		return err
	}
	end, err := port("end", start)
	if err != nil {
		return err
	}
	to, err := port("to", start)
	if err != nil {
		return err
	}
	if end < start || to+end-start > 65535 {
		return lineError(r.line, "range from %d to %d", start, end)
	}
	address := c.attrs["address"]
	if address == "" {
		address = "127.0.0.1"
	}
	for p := start; p <= end; p++ {
		switch {
		case r.attrs["exclude"] == "yes":
			excluded[p] = true
		case len(b.opts) > maxForwards:
			return lineError(r.line, "more than %d ports are forwarded", maxForwards)
		case !excluded[p]:
			b.add("hostfwd", fmt.Sprintf("%s:%s:%d-:%d", c.attrs["proto"], address, p, to+p-start))
		}
	}
	return nil
}
