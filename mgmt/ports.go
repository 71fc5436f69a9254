package mgmt

import (
	"math"
	"net/http"
	"strconv"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

func (s *Server) getPorts(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	ports := s.sw.Ports()
	answer := api.Ports{Ports: make([]api.Port, 0, len(ports))}
	for i := range ports {
		answer.Ports = append(answer.Ports, s.port(&ports[i]))
	}
	return reply(w, http.StatusOK, answer)
}

func (s *Server) getPort(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	ref := r.PathValue("port")
	p, err := s.sw.Port(ref)
	if err != nil {
		return s.aboutPort(ref, err)
	}
	return reply(w, http.StatusOK, s.port(&p))
}

func (s *Server) postPort(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	req, err := decode[api.PortAdd](w, r)
	if err != nil {
		return err
	}
	if err := specGiven(req); err != nil {
		return err
	}
	added, err := s.sw.Add(r.Context(), req.Spec)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, s.added(added))
}

func (s *Server) patchPort(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	req, err := decode[api.PortChange](w, r)
	if err != nil {
		return err
	}
	change, err := portChange(req)
	if err != nil {
		return err
	}
	ref := r.PathValue("port")
	p, err := s.sw.SetPort(ref, change)
	if err != nil {
		return s.aboutPort(ref, err)
	}
	return reply(w, http.StatusOK, s.port(&p))
}

func (s *Server) deletePort(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	ref := r.PathValue("port")
	if err := s.sw.Remove(ref); err != nil {
		var doors []string
		for _, d := range s.sw.Info().Doors {
			doors = append(doors, d.Name)
		}
		return s.aboutPort(ref, err, doors...)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// portChange turns what came over the wire into the switch's terms. Ranges are
// the switch's business, except where a conversion would hide what was sent.
func portChange(req api.PortChange) (vswitch.PortChange, error) {
	ch := vswitch.PortChange{
		Name:        req.Name,
		Transparent: req.Transparent,
		Isolated:    req.Isolated,
		Down:        req.Down,
		MTU:         req.MTU,
		MACLimit:    req.MACLimit,
	}
	if req.PVID != nil {
		if *req.PVID < 0 || *req.PVID > math.MaxUint16 {
			return ch, invalid("pvid %d: want %d to %d", *req.PVID, frame.MinVID, frame.MaxVID)
		}
		vid := frame.VID(*req.PVID)
		ch.PVID = &vid
	}
	if req.Native != nil {
		native, err := vswitch.ParseNative(*req.Native)
		if err != nil {
			return ch, &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "none drops frames without a tag; tagged sends those of the PVID with one"}
		}
		ch.Native = &native
	}
	if req.Tagged != nil {
		set, err := frame.ParseVIDSet(*req.Tagged)
		if err != nil {
			return ch, &api.Error{Code: api.ErrInvalid, Message: "tagged: " + err.Error(), Hint: "write all, none, or numbers and ranges as in 10+20-30"}
		}
		ch.Tagged = &set
	}
	if req.Mirror != nil {
		from, err := vswitch.ParseMirror(*req.Mirror)
		if err != nil {
			return ch, &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "write none, or ports as in vm1:in+vm2:both"}
		}
		ch.Mirror = &from
	}
	if req.AllowMAC != nil {
		sources, err := vswitch.ParseSources(*req.AllowMAC)
		if err != nil {
			return ch, &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "write any, or addresses as in 52:54:00:12:34:56+52:54:00:12:34:57"}
		}
		ch.Sources = &sources
	}
	if req.Impair != nil {
		cable, err := vswitch.ParseImpair(*req.Impair)
		if err != nil {
			return ch, &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "write none, or as in delay:20ms+in-loss:1%+out-rate:10M"}
		}
		ch.Impair = &cable
	}
	var err error
	if ch.User, err = allow("allow_user", req.AllowUser, vswitch.ParseUser); err != nil {
		return ch, err
	}
	if ch.Group, err = allow("allow_group", req.AllowGroup, vswitch.ParseGroup); err != nil {
		return ch, err
	}
	return ch, portSTPChange(&req, &ch)
}

// allow reads who may use a port.
func allow(field string, text *string, parse func(string) (*int, error)) (*int, error) {
	if text == nil {
		return nil, nil
	}
	id, err := parse(*text)
	if err != nil {
		return nil, &api.Error{Code: api.ErrInvalid, Message: field + ": " + err.Error(), Hint: "write any, a name or a number"}
	}
	if id == nil {
		anybody := vswitch.Anybody
		id = &anybody
	}
	return id, nil
}

// port is p as it goes over the wire.
func (s *Server) port(p *vswitch.PortInfo) api.Port {
	c := &p.Config
	out := api.Port{
		ID:          c.ID,
		Name:        c.Name,
		Kind:        p.Kind,
		Spec:        p.Spec,
		State:       string(p.State),
		Reason:      p.Reason,
		Since:       p.Since,
		PVID:        int(c.PVID),
		Native:      c.Native.String(),
		Tagged:      "none",
		Transparent: c.Transparent,
		Isolated:    c.Isolated,
		Down:        c.Down,
		MTU:         c.MTU,
		Impair:      c.Impair.String(),
		MACLimit:    c.MACLimit,
		AllowMAC:    c.Sources.String(),
		Mirror:      mirror(c.Mirror),
		Edge:        c.STP.Edge.String(),
		STPCost:     c.STP.Cost,
		STPPriority: c.STP.Priority,
		BPDUGuard:   c.STP.BPDUGuard,
		RootGuard:   c.STP.RootGuard,
		Storm:       c.Storm.String(),
		STP:         portTree(p.Tree),
		Loop:        p.Loop,
		AllowUser:   account(c.User),
		AllowGroup:  account(c.Group),
		Traffic:     traffic(p),
	}
	if c.Tagged != nil {
		out.Tagged = c.Tagged.String()
	}
	if p.Peer.PID > 0 || p.Peer.UID >= 0 || p.Peer.Addr != "" {
		peer := s.peer(p.Peer)
		out.Peer = &peer
	}
	if len(p.Endpoints) > 1 {
		for _, e := range p.Endpoints {
			out.Endpoints = append(out.Endpoints, api.Endpoint{ID: e.ID, Peer: s.peer(e.Peer), Since: e.Since, Tx: api.Count(e.Tx), Queue: e.Queue})
		}
	}
	return out
}

func (s *Server) peer(p vswitch.Peer) api.Peer {
	out := api.Peer{PID: p.PID, UID: p.UID, Command: command(p.PID), Address: p.Addr, Description: p.Description}
	if p.UID >= 0 {
		out.User = s.users.name(p.UID)
	}
	return out
}

// account is who may use a port, as vswitch.ParseUser reads it.
func account(id *int) string {
	if id == nil {
		return "any"
	}
	return strconv.Itoa(*id)
}

// mirror writes list as vswitch.ParseMirror reads it.
func mirror(list []vswitch.MirrorFrom) string {
	if len(list) == 0 {
		return "none"
	}
	text := ""
	for i, m := range list {
		if i > 0 {
			text += "+"
		}
		text += m.String()
	}
	return text
}

func traffic(p *vswitch.PortInfo) api.Traffic {
	t := api.Traffic{
		Rx:    api.Count(p.Rx),
		Tx:    api.Count(p.Tx),
		Drops: map[string]uint64{},
		Queue: p.Queue,
		MACs:  p.MACs,
	}
	if o := p.Offload; o != (vswitch.OffloadCount{}) || p.Takes != 0 {
		t.Offload = &api.Offload{Takes: p.Takes.String(), Cut: o.Cut, Segments: o.Segments, Completed: o.Completed, Merged: o.Merged}
	}
	for _, reason := range vswitch.DropReasons() {
		if n := p.Drops[reason]; n > 0 {
			t.Drops[reason.String()] = n
		}
	}
	if p.Duplicated != [2]uint64{} || p.Held != [2]int{} || !p.Config.Impair.Good() {
		t.Held = &api.BothWays{In: uint64(p.Held[vswitch.DirIn]), Out: uint64(p.Held[vswitch.DirOut])}
		t.Duplicated = &api.BothWays{In: p.Duplicated[vswitch.DirIn], Out: p.Duplicated[vswitch.DirOut]}
	}
	return t
}
