package mgmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// postBatch carries out several changes as one.
func (s *Server) postBatch(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	// Operations are decoded one by one, so that a mistake has a place.
	req, err := decodeUpTo[struct {
		Operations []json.RawMessage `json:"operations"`
	}](w, r, api.MaxBatchBody)
	if err != nil {
		return err
	}
	if n := len(req.Operations); n == 0 || n > api.MaxOperations {
		return &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf("%d operations: want 1 to %d", n, api.MaxOperations), Hint: `for example {"operations":[{"set_port":{"port":"vm1","pvid":10}}]}`}
	}
	ops := make([]vswitch.Op, len(req.Operations))
	refs := make([]string, len(ops))
	for i, raw := range req.Operations {
		if ops[i], refs[i], err = operation(raw); err != nil {
			return atOperation(i, explain(err))
		}
	}
	results, err := s.sw.Apply(r.Context(), ops)
	var at *vswitch.OpError
	if errors.As(err, &at) {
		return atOperation(at.Index, explain(s.aboutPort(refs[at.Index], at.Err)))
	}
	if err != nil {
		return err
	}
	answer := api.BatchResult{Results: make([]api.OperationResult, len(results))}
	for i, res := range results {
		answer.Results[i] = s.operationResult(ops[i], res)
	}
	return reply(w, http.StatusOK, answer)
}

// atOperation tells which operation an error is about.
func atOperation(i int, e *api.Error) error {
	c := *e
	c.Index, c.Message = &i, fmt.Sprintf("operation %d: %s", i, e.Message)
	return &c
}

// operation turns what came over the wire into the switch's terms. ref is the
// port that it is about.
func operation(raw json.RawMessage) (op vswitch.Op, ref string, err error) {
	one, err := strict[api.Operation](raw)
	if err != nil {
		return op, "", err
	}
	known := fieldsOf(reflect.TypeFor[api.Operation]())
	var given []string
	v := reflect.ValueOf(one)
	for i, name := range known {
		if !v.Field(i).IsNil() {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		e := &api.Error{Code: api.ErrInvalid, Message: "it says nothing", Hint: "give exactly one of " + strings.Join(known, ", ")}
		if len(given) > 1 {
			e.Message = "it says " + strings.Join(given, " and ")
		}
		return op, "", e
	}
	switch {
	case one.AddPort != nil:
		op.Add, err = &one.AddPort.Spec, specGiven(*one.AddPort)
	case one.SetPort != nil:
		set := &vswitch.SetPortOp{Port: one.SetPort.Port}
		set.Change, err = portChange(one.SetPort.PortChange)
		op.SetPort, ref = set, set.Port
	case one.RemovePort != nil:
		op.Remove, ref = &one.RemovePort.Port, one.RemovePort.Port
	case one.SetSwitch != nil:
		var ch vswitch.Change
		ch, err = switchChange(*one.SetSwitch)
		op.Set = &ch
	case one.AddFDB != nil:
		op.AddFDB, err = fdbOp(*one.AddFDB)
		ref = one.AddFDB.Port
	case one.FlushFDB != nil:
		var f vswitch.FDBFilter
		f, err = flushFilter(*one.FlushFDB)
		op.FlushFDB, ref = &f, f.Port
	}
	return op, ref, err
}

// strict decodes a part of a body.
func strict[T any](raw json.RawMessage) (T, error) {
	var v T
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil && err != io.EOF {
		return v, bodyError(err, append(fieldsOf(reflect.TypeFor[T]()), innerFields(reflect.TypeFor[T]())...))
	}
	return v, nil
}

// innerFields lists the fields of the objects in t's fields, without doubles:
// the decoder does not say in which object it met an unknown one.
func innerFields(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if ft := t.Field(i).Type; ft.Kind() == reflect.Pointer && ft.Elem().Kind() == reflect.Struct {
			names = append(names, fieldsOf(ft.Elem())...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func specGiven(req api.PortAdd) error {
	if req.Spec == "" {
		return &api.Error{Code: api.ErrInvalid, Message: "the port's spec is missing", Hint: `for example {"spec":"stream:unix:/run/vm.sock"}`}
	}
	return nil
}

// switchChange turns what came over the wire into the switch's terms.
func switchChange(req api.SwitchChange) (vswitch.Change, error) {
	change := vswitch.Change{Hub: req.Hub}
	var err error
	if change.STP, err = stpChange(req.STP); err != nil {
		return change, err
	}
	if req.AgeingSeconds != nil {
		secs := *req.AgeingSeconds
		// Before the conversion, which would wrap around.
		if lo, hi := vswitch.MinAgeing.Seconds(), vswitch.MaxAgeing.Seconds(); secs < lo || secs > hi {
			return change, invalid("ageing time of %g seconds: want %g to %.0f", secs, lo, hi)
		}
		d := time.Duration(secs * float64(time.Second))
		change.Ageing = &d
	}
	if req.PortDefault != nil {
		cfg, err := vswitch.ParsePortConfig(*req.PortDefault)
		if err == nil && (cfg.ID != 0 || cfg.Name != "") {
			err = invalid("a number or a name is one port's own")
		}
		if err != nil {
			return change, &api.Error{Code: api.ErrInvalid, Message: "port_default: " + err.Error(), Hint: `write settings as in a port's spec: "vlan=10,mtu=1400"`}
		}
		change.Default = &cfg
	}
	return change, nil
}

// fdbOp is an address to add. What the port's own VLAN is may depend on the
// operations before, so it is not guessed.
func fdbOp(req api.FDBAdd) (*vswitch.FDBOp, error) {
	mac, err := frame.ParseMAC(req.MAC)
	if err != nil {
		return nil, invalid("mac: %v", err)
	}
	if req.VLAN == 0 {
		return nil, &api.Error{Code: api.ErrInvalid, Message: "the address's VLAN is missing", Hint: `in a batch it must be given: "vlan":1`}
	}
	vid, err := frame.ParseVID(strconv.Itoa(req.VLAN))
	if err != nil {
		return nil, invalid("vlan: %v", err)
	}
	return &vswitch.FDBOp{VID: vid, MAC: mac, Port: req.Port}, nil
}

func flushFilter(req api.FDBFlush) (vswitch.FDBFilter, error) {
	f := vswitch.FDBFilter{Port: req.Port, Static: req.Static}
	if req.VLAN != 0 {
		vid, err := frame.ParseVID(strconv.Itoa(req.VLAN))
		if err != nil {
			return f, invalid("vlan: %v", err)
		}
		f.VID = vid
	}
	if req.MAC != "" {
		mac, err := frame.ParseMAC(req.MAC)
		if err != nil {
			return f, invalid("mac: %v", err)
		}
		f.MAC = &mac
	}
	return f, nil
}

// operationResult is what has come of op, as it goes over the wire.
func (s *Server) operationResult(op vswitch.Op, res vswitch.Result) (out api.OperationResult) {
	if res.Added != nil {
		added := s.added(*res.Added)
		out.Added = &added
	}
	if res.Port != nil {
		p := s.port(res.Port)
		out.Port = &p
	}
	if op.FlushFDB != nil {
		out.Removed = &res.Flushed
	}
	return out
}

func (s *Server) added(a vswitch.Added) (out api.Added) {
	if a.Port != nil {
		p := s.port(a.Port)
		out.Port = &p
	}
	if a.Door != nil {
		d := door(*a.Door)
		out.Door = &d
	}
	return out
}
