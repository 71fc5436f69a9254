package mgmt

import (
	"math"
	"net/http"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

func (s *Server) getSTP(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	in := s.sw.SpanningTree()
	answer := api.SpanningTree{STPSettings: stpSettings(in.Config), Trees: []api.Tree{}}
	for i := range in.Trees {
		answer.Trees = append(answer.Trees, stpTree(&in.Trees[i]))
	}
	return reply(w, http.StatusOK, answer)
}

func stpSettings(c vswitch.STPConfig) api.STPSettings {
	return api.STPSettings{
		Mode:                string(c.Mode),
		MAC:                 c.MAC.String(),
		Priority:            int(*c.Priority),
		HelloSeconds:        c.Hello,
		MaxAgeSeconds:       c.MaxAge,
		ForwardDelaySeconds: c.Forward,
	}
}

func stpTree(t *vswitch.TreeInfo) api.Tree {
	out := api.Tree{
		VLAN:     int(t.VID),
		ID:       t.ID.String(),
		Root:     t.Root.String(),
		RootCost: uint64(t.Cost),
		RootPort: t.Names[t.RootPort],
		Changes:  t.Changes,
		Ports:    []api.TreePort{},
	}
	for _, p := range t.Ports {
		out.Ports = append(out.Ports, api.TreePort{
			Port: p.Port, Name: t.Names[p.Port], ID: p.ID.String(),
			Role: p.Role.String(), State: p.State.String(), Cost: uint64(p.Cost),
			Edge: p.Edge, Speaks: p.Speaks, Tagged: t.Tagged[p.Port], Guarded: p.Guarded, Disputed: p.Disputed,
			DesignatedBridge: p.Designated.Bridge.String(), DesignatedPort: p.Designated.Port.String(),
			RxBPDUs: p.Rx, TxBPDUs: p.Tx,
		})
	}
	return out
}

// portTree is a port's place in the tree; nil where there is none.
func portTree(t vswitch.PortTree) *api.PortTree {
	if t.Role == "" {
		return nil
	}
	return &api.PortTree{
		Role: t.Role, State: t.State, Edge: t.Edge, Speaks: t.Speaks, Guarded: t.Guarded,
		Blocked: t.Blocked, RxBPDUs: t.Rx, TxBPDUs: t.Tx, Bad: t.Bad,
	}
}

func loops(list []vswitch.Loop) []api.Loop {
	out := make([]api.Loop, 0, len(list))
	for _, l := range list {
		out = append(out, api.Loop{Ports: l.Ports[:], Since: l.Since, Last: l.Last, MovesPerSecond: l.Moves, MAC: l.MAC.String()})
	}
	return out
}

// stpChange turns what came over the wire into the switch's terms.
func stpChange(req *api.STPChange) (*vswitch.STPChange, error) {
	if req == nil {
		return nil, nil
	}
	ch := &vswitch.STPChange{
		Mode: (*vswitch.STPMode)(req.Mode), Hello: req.HelloSeconds, MaxAge: req.MaxAgeSeconds, Forward: req.ForwardDelaySeconds,
	}
	if req.Priority != nil {
		if *req.Priority < 0 || *req.Priority > math.MaxUint16 {
			return nil, invalid("priority %d: want 0 to %d", *req.Priority, math.MaxUint16)
		}
		p := uint16(*req.Priority)
		ch.Priority = &p
	}
	if req.MAC != nil {
		mac, err := frame.ParseMAC(*req.MAC)
		if err != nil {
			return nil, invalid("mac: %v", err)
		}
		ch.MAC = &mac
	}
	return ch, nil
}

// portSTPChange is the part of portChange that is about rings and storms.
func portSTPChange(req *api.PortChange, ch *vswitch.PortChange) error {
	ch.Cost, ch.Priority, ch.BPDUGuard, ch.RootGuard = req.STPCost, req.STPPriority, req.BPDUGuard, req.RootGuard
	if req.Edge != nil {
		edge, err := stp.ParseEdge(*req.Edge)
		if err != nil {
			return invalid("%v", err)
		}
		ch.Edge = &edge
	}
	if req.Storm != nil {
		storm, err := vswitch.ParseStorm(*req.Storm)
		if err != nil {
			return &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "write off, a number, or kinds as in broadcast:1000+unknown:200"}
		}
		ch.Storm = &storm
	}
	return nil
}
