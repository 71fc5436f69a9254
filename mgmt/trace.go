package mgmt

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

func (s *Server) postTrace(w http.ResponseWriter, r *http.Request) error {
	port, f, err := frameIn(w, r)
	if err != nil {
		return err
	}
	answer, err := s.trace(port, f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// postInject answers with the trace from just before. When traffic changes the
// forwarding table in between, the frame itself may go another way.
func (s *Server) postInject(w http.ResponseWriter, r *http.Request) error {
	port, f, err := frameIn(w, r)
	if err != nil {
		return err
	}
	answer, err := s.trace(port, f)
	if err != nil {
		return err
	}
	if err := s.sw.Inject(port, f); err != nil {
		return s.aboutPort(port, err)
	}
	return reply(w, http.StatusOK, answer)
}

// frameIn reads what trace and inject have in common.
func frameIn(w http.ResponseWriter, r *http.Request) (port string, f frame.Frame, err error) {
	if _, err := query(r); err != nil {
		return "", nil, err
	}
	req, err := decodeUpTo[api.FrameIn](w, r, api.MaxFrameBody)
	if err != nil {
		return "", nil, err
	}
	b, err := hex.DecodeString(req.Frame)
	var bad hex.InvalidByteError
	switch {
	case errors.As(err, &bad):
		return "", nil, &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf("frame: %q is no hex digit", rune(bad)), Hint: "write the frame's bytes as digits only, from the destination address on"}
	case err != nil:
		return "", nil, &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf("frame: %d hex digits are not whole bytes", len(req.Frame)), Hint: "write two digits for each byte"}
	case len(b) > frame.MaxLen:
		return "", nil, invalid("frame: %d bytes are more than the %d that any port can bring", len(b), frame.MaxLen)
	}
	return req.Port, b, nil
}

func (s *Server) trace(port string, f frame.Frame) (api.Trace, error) {
	in, err := s.sw.Port(port)
	if err != nil {
		return api.Trace{}, s.aboutPort(port, err)
	}
	t, err := s.sw.Trace(port, f)
	if err != nil {
		return api.Trace{}, s.aboutPort(port, err)
	}
	answer := api.Trace{
		Port:      in.Config.ID,
		PortName:  in.Config.Name,
		Bytes:     len(f),
		VLAN:      int(t.VID),
		Steps:     make([]api.TraceStep, 0, len(t.Steps)),
		Outcome:   t.Outcome,
		Receivers: make([]api.TraceReceiver, 0, len(t.Receivers)),
	}
	if t.Outcome == api.OutcomeDrop {
		answer.Reason = t.Reason.String()
	}
	for _, step := range t.Steps {
		answer.Steps = append(answer.Steps, api.TraceStep(step))
	}
	for i := range t.Receivers {
		answer.Receivers = append(answer.Receivers, receiver(&t.Receivers[i]))
	}
	return answer, nil
}

func receiver(t *vswitch.TraceReceiver) api.TraceReceiver {
	r := api.TraceReceiver{Port: t.Port, Name: t.Name, Mirror: t.Mirror, Tag: t.Tag, Bytes: t.Bytes}
	if t.Dropped {
		r.Drop = t.Reason.String()
	}
	return r
}
