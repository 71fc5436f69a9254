package openapi

import (
	"reflect"

	"vnetkit/mgmt/api"
)

// body is what a route takes and yields.
type body struct {
	in     any               // nil: no body
	out    any               // nil: none, or not JSON
	media  string            // of the answer; "": application/json
	status int               // of success; 0: 200
	query  map[string]*Param // what may stand behind the question mark
}

// Param is a parameter of a query.
type Param struct {
	Type string
	Doc  string
}

var fdbQuery = map[string]*Param{
	"port": {"string", "only addresses behind this port, by number or name"},
	"vlan": {"integer", "only addresses in this VLAN"},
	"mac":  {"string", "only this address"},
}

// bodies says of each route, by method and path, what the route list does not.
// A route that is missing here fails TestGeneratedDocument.
var bodies = map[string]body{
	"GET /v1":                 {out: api.Routes{}},
	"GET /v1/info":            {out: api.Info{}},
	"PATCH /v1/switch":        {in: api.SwitchChange{}, out: api.Info{}},
	"GET /v1/ports":           {out: api.Ports{}},
	"POST /v1/ports":          {in: api.PortAdd{}, out: api.Added{}, status: 201},
	"GET /v1/ports/{port}":    {out: api.Port{}},
	"PATCH /v1/ports/{port}":  {in: api.PortChange{}, out: api.Port{}},
	"DELETE /v1/ports/{port}": {status: 204},
	"GET /v1/stp":             {out: api.SpanningTree{}},
	"GET /v1/config":          {out: api.Config{}},
	"POST /v1/reload":         {out: api.Reloaded{}, query: map[string]*Param{"dry-run": {"boolean", "change nothing, and say what would be changed"}}},
	"POST /v1/batch":          {in: api.Batch{}, out: api.BatchResult{}},
	"GET /v1/fdb":             {out: api.FDB{}, query: with(fdbQuery, "static", Param{"boolean", "true: only static ones; false: only learned ones"})},
	"POST /v1/fdb":            {in: api.FDBAdd{}, out: api.FDBEntry{}, status: 201},
	"DELETE /v1/fdb":          {out: api.Removed{}, query: with(fdbQuery, "static", Param{"boolean", "true: static ones too"})},
	"GET /v1/ips":             {out: api.IPs{}, query: fdbQuery},
	"GET /v1/stats":           {out: api.Stats{}},
	"GET /v1/events":          {out: api.Event{}, media: "application/x-ndjson", query: eventQuery},
	"GET /v1/capture":         {media: "application/x-pcapng", query: captureQuery},
	"POST /v1/trace":          {in: api.FrameIn{}, out: api.Trace{}},
	"POST /v1/inject":         {in: api.FrameIn{}, out: api.Trace{}},
	"GET /metrics":            {media: "text/plain"},
}

var eventQuery = map[string]*Param{
	"since":  {"integer", "only events after this number"},
	"life":   {"string", "the life that the number is of"},
	"follow": {"boolean", "go on for ever"},
}

var captureQuery = map[string]*Param{
	"ports":  {"string", "numbers or names, joined by commas; nothing: all"},
	"filter": {"string", "which frames, in tcpdump's language"},
	"snap":   {"integer", "bytes kept of each frame; 0: all"},
}

func with(q map[string]*Param, name string, p Param) map[string]*Param {
	all := map[string]*Param{name: &p}
	for k, v := range q {
		all[k] = v
	}
	return all
}

// describe makes the schemas of all bodies. Bodies of requests are closed.
func describe() (*Schemas, error) {
	s := NewSchemas("#/components/schemas/")
	for _, c := range api.Codes() {
		s.Enums[reflect.TypeFor[api.Code]()] = append(s.Enums[reflect.TypeFor[api.Code]()], string(c))
	}
	if err := s.Comments("vnetkit/mgmt/api", "../api"); err != nil {
		return nil, err
	}
	for _, b := range bodies {
		if b.in != nil {
			in, err := s.Of(reflect.TypeOf(b.in))
			if err != nil {
				return nil, err
			}
			s.Close(in)
		}
	}
	for _, b := range bodies {
		if b.out != nil {
			if _, err := s.Of(reflect.TypeOf(b.out)); err != nil {
				return nil, err
			}
		}
	}
	_, err := s.Of(reflect.TypeFor[api.Failure]())
	return s, err
}
