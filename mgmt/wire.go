package mgmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"vnetkit/mgmt/api"
)

// decode reads a request's body into a T: one JSON value of at most
// api.MaxBody bytes, no unknown field, nothing behind it.
func decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	return decodeUpTo[T](w, r, api.MaxBody)
}

func decodeUpTo[T any](w http.ResponseWriter, r *http.Request, size int64) (T, error) {
	var v T
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, size))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, bodyError(err, fieldsOf(reflect.TypeFor[T]()))
	}
	switch _, err := dec.Token(); {
	case err == io.EOF:
		complete(r)
		return v, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return v, bodyError(err, nil)
	}
	return v, &api.Error{Code: api.ErrBadRequest, Message: "the body goes on after the JSON object", Hint: "send one object"}
}

func bodyError(err error, fields []string) error {
	bad := &api.Error{Code: api.ErrBadRequest, Hint: "the fields are: " + strings.Join(fields, ", ")}
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &api.Error{Code: api.ErrTooLarge, Message: fmt.Sprintf("the body has more than %d bytes", large.Limit), Hint: "no request needs that much"}
	case errors.Is(err, io.EOF):
		bad.Message = "the body is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		bad.Message = "the body ends in the middle of its JSON"
	case errors.As(err, &syntax):
		bad.Message = fmt.Sprintf("the body is not JSON: byte %d: %v", syntax.Offset, syntax)
	case errors.As(err, &typ) && typ.Field == "":
		bad.Message = fmt.Sprintf("the body is a JSON %s, not an object", typ.Value)
	case errors.As(err, &typ):
		bad.Message = fmt.Sprintf("field %q is a %s, want %v", typ.Field, typ.Value, typ.Type)
	default:
		name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
		if !unknown {
			bad.Message = "read body: " + err.Error()
			break
		}
		name, _ = strconv.Unquote(name)
		bad.Message = fmt.Sprintf("unknown field %.100q", name)
		if near := api.Nearest(name, fields); near != "" {
			bad.Hint = fmt.Sprintf("did you mean %q? %s", near, bad.Hint)
		}
	}
	return bad
}

// fieldsOf lists the JSON names of t's fields.
func fieldsOf(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// query returns the request's query, each key at most once and none but the
// known ones.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &api.Error{Code: api.ErrBadRequest, Message: fmt.Sprintf("query %.200q: %v", r.URL.RawQuery, err)}
	}
	for key, values := range q {
		if !slices.Contains(known, key) {
			e := &api.Error{Code: api.ErrBadRequest, Message: fmt.Sprintf("unknown query key %.100q", key), Hint: "this path takes no query"}
			if len(known) > 0 {
				e.Hint = "the keys are: " + strings.Join(known, ", ")
			}
			if near := api.Nearest(key, known); near != "" {
				e.Hint = fmt.Sprintf("did you mean %q? %s", near, e.Hint)
			}
			return nil, e
		}
		if len(values) > 1 {
			return nil, &api.Error{Code: api.ErrBadRequest, Message: fmt.Sprintf("query key %q is given %d times", key, len(values)), Hint: "give it once"}
		}
	}
	return q, nil
}

// queryBool reads key as a truth value; set tells whether it is there.
func queryBool(q url.Values, key string) (value, set bool, err error) {
	if !q.Has(key) {
		return false, false, nil
	}
	value, err = strconv.ParseBool(q.Get(key))
	if err != nil {
		err = &api.Error{Code: api.ErrBadRequest, Message: fmt.Sprintf("query %s=%.100q is neither true nor false", key, q.Get(key)), Hint: "write " + key + "=true or " + key + "=false"}
	}
	return value, true, err
}

func reply(w http.ResponseWriter, status int, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // "vlan 1 -> 2" is read by people, too, and never inside HTML
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a caller who has left needs no answer
	return nil
}
