package client

import (
	"context"
	"net/url"
	"strconv"

	"vnetkit/mgmt/api"
)

// Info describes the switch as a whole.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	var info api.Info
	if err := c.call(ctx, "GET", "/v1/info", nil, &info); err != nil {
		return info, err
	}
	if info.Schema == 0 {
		return info, c.badAnswer("what answers there is no switch")
	}
	return info, nil
}

// SetSwitch changes settings of the switch.
func (c *Client) SetSwitch(ctx context.Context, change api.SwitchChange) (api.Info, error) {
	var info api.Info
	return info, c.call(ctx, "PATCH", "/v1/switch", change, &info)
}

// SpanningTree is the spanning tree as it is now.
func (c *Client) SpanningTree(ctx context.Context) (api.SpanningTree, error) {
	var tree api.SpanningTree
	return tree, c.call(ctx, "GET", "/v1/stp", nil, &tree)
}

// Ports lists all ports by number.
func (c *Client) Ports(ctx context.Context) ([]api.Port, error) {
	var ports api.Ports
	err := c.call(ctx, "GET", "/v1/ports", nil, &ports)
	return ports.Ports, err
}

// Port returns one port by number or name.
func (c *Client) Port(ctx context.Context, ref string) (api.Port, error) {
	var p api.Port
	return p, c.call(ctx, "GET", portPath(ref), nil, &p)
}

// AddPort adds the port or door that spec describes.
func (c *Client) AddPort(ctx context.Context, spec string) (api.Added, error) {
	var added api.Added
	return added, c.call(ctx, "POST", "/v1/ports", api.PortAdd{Spec: spec}, &added)
}

// SetPort changes settings of a port.
func (c *Client) SetPort(ctx context.Context, ref string, change api.PortChange) (api.Port, error) {
	var p api.Port
	return p, c.call(ctx, "PATCH", portPath(ref), change, &p)
}

// RemovePort removes a port by number or name, or a door by its name.
func (c *Client) RemovePort(ctx context.Context, ref string) error {
	return c.call(ctx, "DELETE", portPath(ref), nil, nil)
}

// FDBFilter selects addresses; zero fields select all.
type FDBFilter struct {
	Port   string // number or name
	VLAN   int
	MAC    string
	Static *bool // FDB: only static, or only learned ones; FlushFDB: true: static ones too
}

func (f FDBFilter) query() string {
	q := url.Values{}
	if f.Port != "" {
		q.Set("port", f.Port)
	}
	if f.VLAN != 0 {
		q.Set("vlan", strconv.Itoa(f.VLAN))
	}
	if f.MAC != "" {
		q.Set("mac", f.MAC)
	}
	if f.Static != nil {
		q.Set("static", strconv.FormatBool(*f.Static))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// FDB lists the addresses that f selects, by VLAN and address.
func (c *Client) FDB(ctx context.Context, f FDBFilter) ([]api.FDBEntry, error) {
	var fdb api.FDB
	err := c.call(ctx, "GET", "/v1/fdb"+f.query(), nil, &fdb)
	return fdb.Entries, err
}

// IPs lists the IP addresses of stations that f selects. Static is not looked at.
func (c *Client) IPs(ctx context.Context, f FDBFilter) ([]api.IPEntry, error) {
	f.Static = nil
	var ips api.IPs
	err := c.call(ctx, "GET", "/v1/ips"+f.query(), nil, &ips)
	return ips.Entries, err
}

// AddFDB adds a static address. With VLAN 0 it goes into the port's PVID.
func (c *Client) AddFDB(ctx context.Context, add api.FDBAdd) (api.FDBEntry, error) {
	var e api.FDBEntry
	return e, c.call(ctx, "POST", "/v1/fdb", add, &e)
}

// FlushFDB makes the switch forget the addresses that f selects, and returns
// how many those were.
func (c *Client) FlushFDB(ctx context.Context, f FDBFilter) (int, error) {
	var r api.Removed
	err := c.call(ctx, "DELETE", "/v1/fdb"+f.query(), nil, &r)
	return r.Removed, err
}

// Stats reads every counter.
func (c *Client) Stats(ctx context.Context) (api.Stats, error) {
	var st api.Stats
	return st, c.call(ctx, "GET", "/v1/stats", nil, &st)
}

// Batch carries out several changes as one: all or none. The *api.Error has the
// Index of the operation that failed.
func (c *Client) Batch(ctx context.Context, ops []api.Operation) ([]api.OperationResult, error) {
	var r api.BatchResult
	err := c.call(ctx, "POST", "/v1/batch", api.Batch{Operations: ops}, &r)
	return r.Results, err
}

// Routes lists what the switch's API can do.
func (c *Client) Routes(ctx context.Context) ([]api.Route, error) {
	var r api.Routes
	err := c.call(ctx, "GET", "/v1", nil, &r)
	return r.Routes, err
}
