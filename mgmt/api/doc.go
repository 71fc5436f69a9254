// Package api is what goes over a switch's api socket: the JSON types of
// requests and answers, the error codes, and where the socket lies.
//
// A switch is a directory; its doors are sockets in it. The door "api" speaks
// HTTP with JSON bodies under /v1. Package mgmt serves it, package mgmt/client
// calls it, docs/api.md shows it with curl. All three mean these types, and
// nothing here knows how a switch works, so a program that only wants to read
// a switch needs this package and the standard library.
//
// # Compatibility
//
// Info.Schema says which SchemaVersion a server speaks. Within a version
// fields are only added, so a client ignores fields it does not know. A
// server is strict the other way round: a request with a field it does not
// know is refused, so that a misspelt setting is never silently lost.
//
// # Values
//
// What can be read can be written back: VLAN sets and mirror sources are
// strings in the form that port specs use ("all", "none", "10+20-30" and
// "none", "vm1:in+vm2:both"). Counters count from the time the port was made
// and only grow. Times are RFC 3339 with a zone; durations carry their unit in
// the field's name.
package api
