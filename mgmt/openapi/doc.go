// Package openapi writes down what a switch's API and vnetctl --json say, as
// JSON schemas made from the Go types themselves, and checks values against
// them.
//
// Theory of operation: a Schemas is fed with types by reflection and with their
// comments by reading the source, so that a field has one description, in Go. A
// Document joins the route list of a server with a table of what each route
// takes and yields (routes.go). Nothing of it is part of a running switch: the
// tests here and in cmd/vnetctl generate docs/openapi.json and docs/schema with
// -update (make gen), compare them without, and hold real answers against them.
package openapi

//go:generate go test . -count=1 -run ^TestGenerated -update
