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

// Check says what of a JSON text is not as schema wants it. What the schema
// does not mention is a fault too, although readers have to ignore it: this is
// to find out whether the schema says everything.
func (s *Schemas) Check(schema *Schema, text []byte) (faults []string) {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return []string{err.Error()}
	}
	if dec.More() {
		return []string{"there is more behind the value"}
	}
	s.check(schema, v, "", func(path, format string, args ...any) {
		faults = append(faults, "at "+path+"/: "+fmt.Sprintf(format, args...))
	})
	return faults
}

type fault func(path, format string, args ...any)

func (s *Schemas) check(schema *Schema, v any, path string, bad fault) {
	if schema.Ref != "" && s.Resolve(schema) == schema {
		bad(path, "%s leads nowhere", schema.Ref)
		return
	}
	schema = s.Resolve(schema)
	if reflect.DeepEqual(schema, &Schema{Description: schema.Description}) {
		return // anything
	}
	switch v := v.(type) {
	case map[string]any:
		s.checkObject(schema, v, path, bad)
	case []any:
		if schema.Type != "array" {
			bad(path, "is an array, want %s", schema.Type)
			return
		}
		for i, item := range v {
			s.check(schema.Items, item, fmt.Sprintf("%s/%d", path, i), bad)
		}
	case json.Number:
		_, err := v.Int64()
		if schema.Type != "number" && (schema.Type != "integer" || err != nil) {
			bad(path, "is %v, want %s", v, schema.Type)
		}
		if f, _ := v.Float64(); schema.Minimum != nil && f < float64(*schema.Minimum) {
			bad(path, "is %v, want at least %d", v, *schema.Minimum)
		}
	case string:
		s.checkString(schema, v, path, bad)
	case bool:
		if schema.Type != "boolean" {
			bad(path, "is %t, want %s", v, schema.Type)
		}
	default:
		bad(path, "is %v, want %s", v, schema.Type)
	}
}

func (s *Schemas) checkObject(schema *Schema, v map[string]any, path string, bad fault) {
	if schema.Type != "object" {
		bad(path, "is an object, want %s", schema.Type)
		return
	}
	for _, name := range schema.Required {
		if _, ok := v[name]; !ok {
			bad(path, "has no %q", name)
		}
	}
	values, _ := schema.Additional.(*Schema)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch p := schema.Properties[name]; {
		case p != nil:
			s.check(p, v[name], path+"/"+name, bad)
		case values != nil:
			s.check(values, v[name], path+"/"+name, bad)
		default:
			bad(path, "has %q, which is not described", name)
		}
	}
}

func (s *Schemas) checkString(schema *Schema, v, path string, bad fault) {
	switch {
	case schema.Type != "string":
		bad(path, "is %q, want %s", v, schema.Type)
	case schema.Enum != nil && !slices.Contains(schema.Enum, v):
		bad(path, "is %q, want one of %v", v, schema.Enum)
	case schema.Format == "date-time":
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			bad(path, "is %q, want a time", v)
		}
	}
}
