package mgmt_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

const someFrame = "ffffffffffff02000000000188b5"

// Tracing tells and does nothing; injecting does it.
func TestTraceAndInject(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	b := s.Plug()
	body := `{"port":"port1","frame":"` + someFrame + `"}`
	status, answer := do(t, s, "POST", "/v1/trace", body)
	traced := decode[api.Trace](t, answer)
	if status != 200 || traced.Outcome != api.OutcomeFlood || traced.Port != 1 || traced.PortName != "port1" || traced.VLAN != 1 || traced.Bytes != 14 ||
		len(traced.Receivers) != 1 || traced.Receivers[0] != (api.TraceReceiver{Port: 2, Name: "port2", Tag: "as it came", Bytes: 14}) || len(traced.Steps) < 4 {
		t.Errorf("%d %+v", status, traced)
	}
	if p, err := s.Port("1"); err != nil || p.Rx.Frames != 0 || p.MACs != 0 {
		t.Errorf("tracing left %+v, %v", p, err)
	}
	status, injected := do(t, s, "POST", "/v1/inject", body)
	if status != 200 || injected != answer {
		t.Errorf("inject: %d %s, trace said %s", status, injected, answer)
	}
	if got := hex.EncodeToString(b.Receive()); !strings.HasPrefix(got, someFrame) {
		t.Errorf("received %s", got)
	}
	if p, err := s.Port("1"); err != nil || p.Rx.Frames != 1 || p.MACs != 1 {
		t.Errorf("injecting left %+v, %v", p, err)
	}

	do(t, s, "PATCH", "/v1/ports/2", `{"mtu":68}`)
	_, answer = do(t, s, "POST", "/v1/trace", `{"port":"1","frame":"`+someFrame+strings.Repeat("00", 69)+`"}`)
	if got := decode[api.Trace](t, answer); len(got.Receivers) != 1 || got.Receivers[0].Drop != "mtu" {
		t.Errorf("too large for port 2: %+v", got)
	}
	do(t, s, "PATCH", "/v1/ports/1", `{"down":true}`)
	_, answer = do(t, s, "POST", "/v1/trace", body)
	if got := decode[api.Trace](t, answer); got.Outcome != api.OutcomeDrop || got.Reason != "port-down" || got.VLAN != 0 || got.Receivers == nil {
		t.Errorf("port down: %+v", got)
	}
}

func TestTraceMistakes(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	for _, c := range []struct {
		port, frame string
		code        api.Code
		message     string
	}{
		{"port11", someFrame, api.ErrNoPort, `did you mean "port1"?`},
		{"1", "ff:ff", api.ErrInvalid, `':' is no hex digit`},
		{"1", "fff", api.ErrInvalid, "3 hex digits are not whole bytes"},
		{"1", strings.Repeat("00", 69633), api.ErrInvalid, "69633 bytes are more than the 69632"},
		{"1", strings.Repeat("00", 200000), api.ErrTooLarge, "more than 262144 bytes"},
	} {
		for _, path := range []string{"/v1/trace", "/v1/inject"} {
			status, answer := do(t, s, "POST", path, fmt.Sprintf(`{"port":%q,"frame":%q}`, c.port, c.frame))
			if e := failed(t, status, answer, c.code); !strings.Contains(e.Message, c.message) {
				t.Errorf("%s %.20s: %s", c.port, c.frame, e.Message)
			}
		}
	}
	for _, n := range []int{0, 13, 69632} { // all that can come in can be traced
		status, answer := do(t, s, "POST", "/v1/trace", `{"port":"1","frame":"`+strings.Repeat("02", n)+`"}`)
		if got := decode[api.Trace](t, answer); status != 200 || got.Bytes != n {
			t.Errorf("%d bytes: %d %.200s", n, status, answer)
		}
	}
}
