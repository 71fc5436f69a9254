package mgmt_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// Each kind of operation, each result in its place; later operations see what
// earlier ones did.
func TestBatch(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	s.Plug().Send(9, 0xff, 60)
	mgmttest.Until(t, "an address", func() bool { return s.Info().FDBSize == 1 })
	status, answer := do(t, s, "POST", "/v1/batch", fmt.Sprintf(`{"operations":[
		{"add_port":{"spec":"stream:unix:%s,connect=on,name=far"}},
		{"set_port":{"port":"far","pvid":7,"mtu":1500}},
		{"add_port":{"spec":"stream:unix:%s"}},
		{"set_switch":{"ageing_seconds":60}},
		{"add_fdb":{"mac":"02:00:00:00:00:aa","vlan":7,"port":"far"}},
		{"flush_fdb":{"port":"port2"}},
		{"set_port":{"port":"1","name":"vm1"}},
		{"remove_port":{"port":"2"}}]}`, filepath.Join(s.Dir, "far"), filepath.Join(s.Dir, "door")))
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	r := decode[api.BatchResult](t, answer).Results
	if len(r) != 8 || r[0].Added.Port.Name != "far" || r[1].Port.PVID != 7 || r[1].Port.MTU != 1500 || r[2].Added.Door == nil ||
		r[3] != (api.OperationResult{}) || r[4] != (api.OperationResult{}) || *r[5].Removed != 1 || r[6].Port.Name != "vm1" || r[7] != (api.OperationResult{}) {
		t.Errorf("results: %s", answer)
	}
	ports := get[api.Ports](t, s, "/v1/ports").Ports
	if len(ports) != 2 || ports[0].Name != "vm1" || ports[1].Name != "far" {
		t.Errorf("ports: %+v", ports)
	}
	info := get[api.Info](t, s, "/v1/info")
	if len(info.Doors) != 2 || info.AgeingSeconds != 60 {
		t.Errorf("switch: %+v", info)
	}
	if e := get[api.FDB](t, s, "/v1/fdb").Entries; len(e) != 1 || e[0].PortName != "far" || !e[0].Static {
		t.Errorf("addresses: %+v", e)
	}
}

// Whatever is wrong, and wherever, nothing has happened and the error says
// which operation it was.
func TestBatchAllOrNone(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	do(t, s, "PATCH", "/v1/ports/1", `{"name":"vm1"}`)
	good := []string{
		`{"set_port":{"port":"vm1","name":"other","pvid":99}}`,
		`{"set_switch":{"hub":true,"ageing_seconds":5}}`,
		`{"add_fdb":{"mac":"02:00:00:00:00:aa","vlan":7,"port":"1"}}`,
		fmt.Sprintf(`{"add_port":{"spec":"stream:unix:%s,name=far"}}`, filepath.Join(s.Dir, "far")),
		`{"remove_port":{"port":"1"}}`,
	}
	before := get[api.Ports](t, s, "/v1/ports").Ports
	for _, tc := range []struct {
		op   string
		code api.Code
		says string
	}{
		{`{"set_port":{"port":"vm11","pvid":9}}`, api.ErrNoPort, `no port "vm11"; did you mean "vm1"?`},
		{`{"remove_port":{"port":"nosuch"}}`, api.ErrNoPort, "nosuch"},
		{`{"set_port":{"port":"far","pvid":0}}`, api.ErrInvalid, "VLAN 0"},
		{`{"set_port":{"port":"far","tagged":"5-3"}}`, api.ErrInvalid, "backwards"},
		{`{"set_port":{"port":"far","mut":1500}}`, api.ErrBadRequest, `unknown field "mut"`},
		{`{"set_prot":{"port":"far"}}`, api.ErrBadRequest, `unknown field "set_prot"`},
		{`{"set_port":{"port":"far","mtu":"big"}}`, api.ErrBadRequest, "mtu"},
		{`{}`, api.ErrInvalid, "it says nothing"},
		{`null`, api.ErrInvalid, "it says nothing"},
		{`7`, api.ErrBadRequest, "number"},
		{`{"set_switch":{},"flush_fdb":{}}`, api.ErrInvalid, "it says set_switch and flush_fdb"},
		{`{"add_port":{"spec":""}}`, api.ErrInvalid, "spec is missing"},
		{`{"add_port":{"spec":"pigeon:post"}}`, api.ErrInvalid, "pigeon"},
		{`{"add_port":{"spec":"stream:unix:/nosuch/dir/sock"}}`, api.ErrFailed, "/nosuch/dir/sock"},
		{`{"add_port":{"spec":"stream:unix:/x,connect=on,name=far"}}`, api.ErrPortExists, "far"},
		{`{"set_switch":{"ageing_seconds":1e300}}`, api.ErrInvalid, "ageing"},
		{`{"add_fdb":{"mac":"02:00:00:00:00:ab","port":"far"}}`, api.ErrInvalid, "VLAN is missing"},
		{`{"add_fdb":{"mac":"01:00:00:00:00:ab","vlan":1,"port":"far"}}`, api.ErrInvalid, "01:00:00:00:00:ab"},
		{`{"add_fdb":{"mac":"02:00","vlan":1,"port":"far"}}`, api.ErrInvalid, "mac"},
		{`{"flush_fdb":{"port":"nosuch"}}`, api.ErrNoPort, "nosuch"},
		{`{"flush_fdb":{"vlan":5000}}`, api.ErrInvalid, "vlan"},
		{`{"flush_fdb":{"mac":"x"}}`, api.ErrInvalid, "mac"},
	} {
		// Nothing is left of a port whose number is gone, so removing comes last.
		for _, at := range []int{0, 2, len(good) - 1} {
			ops := slices.Insert(slices.Clone(good), at, tc.op)
			if at < 4 && (strings.Contains(tc.op, `"far"`) || strings.Contains(tc.op, "name=far")) {
				continue // it is there only after it was added
			}
			seq := s.Info().EventSeq
			status, answer := do(t, s, "POST", "/v1/batch", `{"operations":[`+strings.Join(ops, ",")+`]}`)
			e := failed(t, status, answer, tc.code)
			if e.Index == nil || *e.Index != at || !strings.HasPrefix(e.Message, fmt.Sprintf("operation %d: ", at)) || !strings.Contains(e.Message, tc.says) {
				t.Errorf("%s at %d: %s", tc.op, at, answer)
			}
			after, in := get[api.Ports](t, s, "/v1/ports").Ports, s.Info()
			if len(after) != 1 || after[0].Name != before[0].Name || after[0].PVID != 1 || in.Hub || in.Ageing.Seconds() != 300 || in.FDBSize != 0 || len(in.Doors) != 1 || in.EventSeq != seq {
				t.Fatalf("%s at %d: something happened all the same: %+v %+v", tc.op, at, after, in)
			}
		}
	}
}

func TestBatchBody(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	for body, code := range map[string]api.Code{
		`{}`:                     api.ErrInvalid,
		`{"operations":[]}`:      api.ErrInvalid,
		`[]`:                     api.ErrBadRequest,
		`{"operation":[]}`:       api.ErrBadRequest,
		`{"operations":[{]}`:     api.ErrBadRequest,
		`{"operations":[{}]} {}`: api.ErrBadRequest,
		`{"operations":[` + strings.Repeat(`{"flush_fdb":{}},`, api.MaxOperations) + `{"flush_fdb":{}}]}`: api.ErrInvalid,
		`{"operations":["` + strings.Repeat("x", api.MaxBatchBody) + `"]}`:                                api.ErrTooLarge,
	} {
		status, answer := do(t, s, "POST", "/v1/batch", body)
		failed(t, status, answer, code)
	}
	status, answer := do(t, s, "POST", "/v1/batch", `{"operations":[`+strings.Repeat(`{"flush_fdb":{}},`, 999)+`{"flush_fdb":{}}]}`)
	if status != 200 {
		t.Errorf("a thousand: %d %s", status, answer)
	}
}
