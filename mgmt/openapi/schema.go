package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema is a JSON Schema (2020-12), as far as the API's types need it.
type Schema struct {
	Ref         string             `json:"$ref,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // *Schema of a map's values; Closed
	Minimum     *int               `json:"minimum,omitempty"`
}

// Closed is an object that may have no further properties.
type Closed struct{}

// MarshalJSON makes it false.
func (Closed) MarshalJSON() ([]byte, error) { return []byte("false"), nil }

// Schemas are the schemas of some types by name, and of all types in them.
type Schemas struct {
	Prefix string                    // of references: "#/components/schemas/"
	Enums  map[reflect.Type][]string // the values of string types
	Defs   map[string]*Schema

	types    map[string]reflect.Type // what each of Defs is of
	comments comments
}

// NewSchemas returns an empty collection whose references begin with prefix.
func NewSchemas(prefix string) *Schemas {
	return &Schemas{Prefix: prefix, Enums: map[reflect.Type][]string{}, Defs: map[string]*Schema{}, types: map[string]reflect.Type{}, comments: comments{}}
}

// Of returns the schema of t: a reference, if it is a struct with a name.
func (s *Schemas) Of(t reflect.Type) (*Schema, error) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}, nil
	case t == reflect.TypeFor[json.RawMessage](): // anything
		return &Schema{}, nil
	case t.Kind() == reflect.Pointer:
		return s.Of(t.Elem())
	case t.Kind() == reflect.Struct:
		return s.named(t)
	case s.Enums[t] != nil:
		return &Schema{Type: "string", Enum: s.Enums[t]}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return &Schema{Type: "string"}, nil
	case reflect.Bool:
		return &Schema{Type: "boolean"}, nil
	case reflect.Float64:
		return &Schema{Type: "number"}, nil
	case reflect.Int, reflect.Int64:
		return &Schema{Type: "integer"}, nil
	case reflect.Uint64:
		return &Schema{Type: "integer", Minimum: new(int)}, nil
	case reflect.Slice:
		items, err := s.Of(t.Elem())
		return &Schema{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := s.Of(t.Elem())
		return &Schema{Type: "object", Additional: values}, err
	}
	return nil, fmt.Errorf("make schema of %v: a %v is new here", t, t.Kind())
}

// named puts the schema of a struct among the definitions.
func (s *Schemas) named(t reflect.Type) (*Schema, error) {
	name := t.Name()
	if name == "" {
		return nil, fmt.Errorf("make schema of %v: it has no name", t)
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	ref := &Schema{Ref: s.Prefix + name}
	if s.types[name] == t {
		return ref, nil
	}
	if s.types[name] != nil {
		return nil, fmt.Errorf("make schema of %v: %v has the same name", t, s.types[name])
	}
	def := &Schema{Type: "object", Description: s.comments.of(t, ""), Properties: map[string]*Schema{}}
	s.types[name], s.Defs[name] = t, def
	for _, f := range reflect.VisibleFields(t) {
		prop, flags, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous && prop == "" {
			continue // its own fields are visible too
		}
		if prop == "" {
			return nil, fmt.Errorf("make schema of %v: field %s has no json name", t, f.Name)
		}
		p, err := s.Of(f.Type)
		if err != nil {
			return nil, err
		}
		p.Description = s.comments.of(owner(t, f), f.Name)
		def.Properties[prop] = p
		if !strings.Contains(flags, "omitempty") {
			def.Required = append(def.Required, prop)
		}
	}
	return ref, nil
}

// owner is the struct that f is written in: t, or one embedded in it.
func owner(t reflect.Type, f reflect.StructField) reflect.Type {
	for _, i := range f.Index[:len(f.Index)-1] {
		t = t.Field(i).Type
	}
	return t
}

// Close forbids further properties in what schema refers to, and in all that is
// in it: a server refuses what it does not know.
func (s *Schemas) Close(schema *Schema) {
	if def := s.Resolve(schema); def.Type == "object" && def.Additional == nil {
		def.Additional = Closed{}
		for _, p := range def.Properties {
			s.Close(p)
		}
	} else if def.Items != nil {
		s.Close(def.Items)
	}
}

// Resolve follows a reference.
func (s *Schemas) Resolve(schema *Schema) *Schema {
	if name, ok := strings.CutPrefix(schema.Ref, s.Prefix); ok && s.Defs[name] != nil {
		return s.Defs[name]
	}
	return schema
}

// Names lists the definitions.
func (s *Schemas) Names() []string { return slices.Sorted(maps.Keys(s.Defs)) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
