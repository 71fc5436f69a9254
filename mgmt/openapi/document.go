package openapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"vnetkit/mgmt/api"
)

// Document is an OpenAPI 3.1 document, as far as this API needs it.
type Document struct {
	OpenAPI    string                           `json:"openapi"`
	Info       Info                             `json:"info"`
	Servers    []Server                         `json:"servers"`
	Paths      map[string]map[string]*Operation `json:"paths"`
	Components Components                       `json:"components"`

	schemas *Schemas
}

// Info says what the document is about.
type Info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

// Server is where the API is served.
type Server struct {
	URL         string `json:"url"`
	Description string `json:"description"`
}

// Components are the schemas by name.
type Components struct {
	Schemas map[string]*Schema `json:"schemas"`
}

// Operation is a route.
type Operation struct {
	ID          string               `json:"operationId"`
	Summary     string               `json:"summary"`
	Description string               `json:"description,omitempty"`
	Parameters  []Parameter          `json:"parameters,omitempty"`
	RequestBody *RequestBody         `json:"requestBody,omitempty"`
	Responses   map[string]*Response `json:"responses"`
}

// Parameter is a part of a path or a query.
type Parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Required    bool    `json:"required,omitempty"`
	Description string  `json:"description"`
	Schema      *Schema `json:"schema"`
}

// RequestBody is what a request has to bring.
type RequestBody struct {
	Required bool             `json:"required"`
	Content  map[string]Media `json:"content"`
}

// Response is an answer.
type Response struct {
	Description string           `json:"description"`
	Content     map[string]Media `json:"content,omitempty"`
}

// Media is a body of some content type.
type Media struct {
	Schema  *Schema         `json:"schema,omitempty"`
	Example json.RawMessage `json:"example,omitempty"`
}

const about = `A switch is a directory; the unix socket "api" in it speaks this. See api.md for the same in prose, with examples for curl.

Whoever may open the socket may read. Changes are taken from the user the daemon runs as, from root, and from members of the group that vswitch --mgmtgroup names. Requests with unknown fields or query keys are refused; in answers, ignore what you do not know.`

// New makes the document for routes. examples are answers by method and path.
func New(routes []api.Route, examples map[string]json.RawMessage) (*Document, error) {
	schemas, err := describe()
	if err != nil {
		return nil, err
	}
	d := &Document{
		OpenAPI:    "3.1.0",
		Info:       Info{Title: "vswitch management", Version: strconv.Itoa(api.SchemaVersion), Description: about},
		Servers:    []Server{{URL: "http://vswitch", Description: "the host name means nothing: connect to the unix socket DIR/api"}},
		Paths:      map[string]map[string]*Operation{},
		Components: Components{Schemas: schemas.Defs},
		schemas:    schemas,
	}
	for _, r := range routes {
		b, ok := bodies[r.Method+" "+r.Path]
		if !ok {
			return nil, fmt.Errorf("%s %s has no line in mgmt/openapi/routes.go, which says what it takes and yields", r.Method, r.Path)
		}
		op, err := d.operation(r, b, examples[r.Method+" "+r.Path])
		if err != nil {
			return nil, err
		}
		if d.Paths[r.Path] == nil {
			d.Paths[r.Path] = map[string]*Operation{}
		}
		d.Paths[r.Path][strings.ToLower(r.Method)] = op
	}
	return d, nil
}

func (d *Document) operation(r api.Route, b body, example json.RawMessage) (*Operation, error) {
	op := &Operation{ID: operationID(r), Summary: r.Doc, Responses: map[string]*Response{}}
	if r.Changes {
		op.Description = "Takes the right to change things."
	}
	if strings.Contains(r.Path, "{port}") {
		op.Parameters = append(op.Parameters, Parameter{Name: "port", In: "path", Required: true, Description: "a port's number or name; to remove, also a door's name", Schema: &Schema{Type: "string"}})
	}
	for _, name := range sortedKeys(b.query) {
		p := b.query[name]
		op.Parameters = append(op.Parameters, Parameter{Name: name, In: "query", Description: p.Doc, Schema: &Schema{Type: p.Type}})
	}
	if b.in != nil {
		schema, err := d.schemas.Of(reflect.TypeOf(b.in))
		if err != nil {
			return nil, err
		}
		op.RequestBody = &RequestBody{Required: true, Content: map[string]Media{"application/json": {Schema: schema}}}
	}
	ok := &Response{Description: "done"}
	if media := cmp.Or(b.media, "application/json"); b.out != nil {
		schema, err := d.schemas.Of(reflect.TypeOf(b.out))
		if err != nil {
			return nil, err
		}
		ok.Content = map[string]Media{media: {Schema: schema, Example: example}}
	} else if b.media != "" {
		ok.Content = map[string]Media{media: {}}
	}
	op.Responses[strconv.Itoa(cmp.Or(b.status, 200))] = ok
	failure, err := d.schemas.Of(reflect.TypeFor[api.Failure]())
	op.Responses["default"] = &Response{Description: "it failed; nothing has changed", Content: map[string]Media{"application/json": {Schema: failure}}}
	return op, err
}

// operationID makes getPortsPort of GET /v1/ports/{port}.
func operationID(r api.Route) string {
	id := strings.ToLower(r.Method)
	for part := range strings.FieldsFuncSeq(strings.TrimPrefix(r.Path, "/v1"), func(r rune) bool { return r == '/' || r == '{' || r == '}' }) {
		id += strings.ToUpper(part[:1]) + part[1:]
	}
	if r.Path == "/v1" {
		id += "Routes"
	}
	return id
}

// Encode writes v for people: indented, and without HTML's escapes.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
