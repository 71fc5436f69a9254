// Package domain reads the network cards of a libvirt domain.
//
// It takes a <domain>, its <devices>, or one <interface> alone, and makes of
// each interface what "--net" would say. What it does not know is a warning with
// its line; what it knows and cannot give is an error, so that nobody runs
// without a filter that was asked for.
package domain

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"vnetkit/cmd/vmrun/netdev"
)

// element is one of the tree, with the line it begins on.
type element struct {
	name     string
	attrs    map[string]string
	children []*element
	line     int
}

func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return &element{line: e.line} // has nothing
}

// maxDepth and maxElements bound what a hostile file can make of us.
const (
	maxDepth    = 64
	maxElements = 1 << 16
)

// Read returns the interfaces in order, and what was not understood.
func Read(r io.Reader) (nets []netdev.Net, warnings []string, err error) {
	root, err := parse(r)
	if err != nil {
		return nil, nil, err
	}
	var list []*element
	switch root.name {
	case "domain":
		list = root.child("devices").children
	case "devices":
		list = root.children
	case "interface":
		list = []*element{root}
	default:
		return nil, nil, lineError(root.line, "<%s> is none of domain, devices, interface", root.name)
	}
	for _, e := range list {
		if e.name != "interface" {
			continue
		}
		b := &builder{from: e}
		n, err := b.net()
		if err != nil {
			return nil, nil, err
		}
		nets, warnings = append(nets, n), append(warnings, b.warnings...)
	}
	return nets, warnings, nil
}

func lineError(line int, format string, args ...any) error {
	return &netdev.UsageError{What: fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...), Cure: "correct the XML; docs/vmrun.md lists what is understood"}
}

// parse reads the tree.
func parse(r io.Reader) (*element, error) {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("it is written in %s, and must be in UTF-8: iconv -f %s -t UTF-8", charset, charset)
	}
	var stack []*element
	var root *element
	for count := 0; ; count++ {
		tok, err := d.Token()
		line, _ := d.InputPos()
		switch {
		case errors.Is(err, io.EOF) && root != nil && len(stack) == 0:
			return root, nil
		case errors.Is(err, io.EOF):
			return nil, lineError(line, "the XML ends too early")
		case err != nil:
			return nil, lineError(line, "%v", err)
		case count > maxElements || len(stack) > maxDepth:
			return nil, lineError(line, "too much for a domain")
		}
		switch t := tok.(type) {
		case xml.StartElement:
			e := &element{name: t.Name.Local, attrs: map[string]string{}, line: line}
			for _, a := range t.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			switch {
			case len(stack) > 0:
				up := stack[len(stack)-1]
				up.children = append(up.children, e)
			case root != nil:
				return nil, lineError(line, "a second <%s> behind the end", e.name)
			default:
				root = e
			}
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
}

// builder makes one --net of an interface.
type builder struct {
	from     *element
	opts     []string
	warnings []string
}

func (b *builder) add(key, value string) {
	if value != "" {
		b.opts = append(b.opts, key+"="+strings.ReplaceAll(value, ",", ",,"))
	}
}

func (b *builder) net() (netdev.Net, error) {
	e := b.from
	mode, err := b.source()
	if err != nil {
		return netdev.Net{}, err
	}
	for _, c := range e.children {
		if err := b.detail(mode, c); err != nil {
			return netdev.Net{}, err
		}
	}
	n, err := netdev.ParseNet(strings.Join(append([]string{mode}, b.opts...), ","))
	if err != nil {
		return n, lineError(e.line, "%v", err)
	}
	return n, nil
}

// source understands the type and where it leads.
func (b *builder) source() (mode string, err error) {
	e, s := b.from, b.from.child("source").attrs
	hostPort := func(a map[string]string) string {
		if a["port"] == "" {
			return ""
		}
		return a["address"] + ":" + a["port"]
	}
	switch typ := e.attrs["type"]; typ {
	case "bridge":
		b.add("br", s["bridge"]+s["dev"]) // libvirt's first summary wrote dev=
		return "bridge", nil
	case "network":
		b.add("name", s["network"])
		return "network", nil
	case "user":
		if e.child("backend").attrs["type"] == "passt" {
			b.add("interface", s["dev"])
			return "passt", nil
		}
		return "user", b.userNet()
	case "ethernet":
		return "ethernet", nil
	case "direct":
		b.add("dev", s["dev"])
		b.add("mode", s["mode"])
		return "direct", nil
	case "mcast", "client", "server":
		b.add("addr", hostPort(s))
		return typ, nil
	case "udp":
		b.add("addr", hostPort(s))
		b.add("local", hostPort(e.child("source").child("local").attrs))
		return "udp", nil
	case "vhostuser":
		b.add("sock", s["path"])
		switch s["mode"] {
		case "server":
			b.add("server", "on")
		case "", "client":
		default:
			return "", lineError(e.line, "source mode=%q: want client or server", s["mode"])
		}
		return "vhost-user", nil
	case "hostdev":
		host, err := pciAddress(e.child("source").child("address"))
		b.add("host", host)
		return "hostdev", err
	case "vdpa":
		b.add("dev", s["dev"])
		return "vdpa", nil
	case "null":
		return "null", nil
	case "internal", "vds":
		return typ, nil
	default:
		return "", lineError(e.line, "unknown interface type %q", typ)
	}
}

// pciAddress is a device of the host's as QEMU wants it. One that is not said whole
// would be another one: 0000:00:00.0 is there on every PC.
func pciAddress(e *element) (string, error) {
	if typ := e.attrs["type"]; typ != "" && typ != "pci" {
		return "", lineError(e.line, "address type=%q: a card of this host has a PCI address", typ)
	}
	var parts [4]uint64
	for i, p := range []struct {
		name, missing string
		most          uint64
	}{{"domain", "0", 0xffff}, {"bus", "", 0xff}, {"slot", "", 0x1f}, {"function", "0", 7}} {
		text := e.attrs[p.name]
		if text == "" {
			text = p.missing
		}
		n, err := strconv.ParseUint(text, 0, 16)
		if err != nil || n > p.most {
			return "", lineError(e.line, "address %s=%q: want a number up to %#x, as in <address type='pci' domain='0x0000' bus='0x06' slot='0x10' function='0x2'/>", p.name, e.attrs[p.name], p.most)
		}
		parts[i] = n
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", parts[0], parts[1], parts[2], parts[3]), nil
}

// userNet is the network that slirp is to use: libvirt means the network of the
// address.
func (b *builder) userNet() error {
	for _, c := range b.from.children {
		if c.name != "ip" {
			continue
		}
		prefix := c.attrs["prefix"]
		switch c.attrs["family"] {
		case "", "ipv4":
			if prefix == "" {
				prefix = "24"
			}
			b.add("net", c.attrs["address"]+"/"+prefix)
		case "ipv6":
			b.add("ipv6-prefix", c.attrs["address"])
			b.add("ipv6-prefixlen", prefix)
		default:
			return lineError(c.line, "ip family %q", c.attrs["family"])
		}
	}
	return nil
}
