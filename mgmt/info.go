package mgmt

import (
	"net/http"
	"os"
	"time"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
)

func (s *Server) getInfo(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.info(r))
}

func (s *Server) info(r *http.Request) api.Info {
	in := s.sw.Info()
	doors := make([]api.Door, 0, len(in.Doors))
	for _, d := range in.Doors {
		doors = append(doors, door(d))
	}
	return api.Info{
		Schema:        api.SchemaVersion,
		Name:          s.opt.Name,
		Dir:           s.opt.Dir,
		Version:       s.opt.Version,
		Commit:        s.opt.Commit,
		PID:           os.Getpid(),
		UID:           s.uid,
		User:          s.users.name(s.uid),
		Started:       in.Started,
		UptimeSeconds: time.Since(in.Started).Seconds(),
		Life:          s.life,
		MayChange:     s.isAdmin(callerOf(r)),
		Workers:       in.Workers,
		Hub:           in.Hub,
		AgeingSeconds: in.Ageing.Seconds(),
		PortDefault:   in.Default.Text(),
		FDB:           fdbSize(in),
		Ports:         in.Ports,
		Doors:         doors,
		Captures:      in.Captures,
		EventSeq:      in.EventSeq,
		STP:           stpSettings(in.STP),
		Loops:         loops(in.Loops),
	}
}

func door(d vswitch.DoorInfo) api.Door {
	return api.Door{Name: d.Name, Kind: d.Kind, Spec: d.Spec}
}

func fdbSize(in vswitch.Info) api.FDBSize {
	return api.FDBSize{Entries: in.FDBSize, Cap: in.FDBCap, Unlearned: in.Unlearned}
}

func (s *Server) patchSwitch(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	req, err := decode[api.SwitchChange](w, r)
	if err != nil {
		return err
	}
	change, err := switchChange(req)
	if err != nil {
		return err
	}
	if err := s.sw.Set(change); err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.info(r))
}

func (s *Server) getStats(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	in, ports := s.sw.Info(), s.sw.Ports()
	now := time.Now()
	st := api.Stats{
		Time:        now,
		MonotonicNS: int64(now.Sub(s.born)),
		Life:        s.life,
		Totals:      api.Totals{Drops: map[string]uint64{}},
		FDB:         fdbSize(in),
		Ports:       make([]api.PortStats, 0, len(ports)),
		Reasons:     map[string]string{},
	}
	for _, reason := range vswitch.DropReasons() {
		st.Reasons[reason.String()] = reason.Sentence()
	}
	for i := range ports {
		p := &ports[i]
		t := traffic(p)
		st.Ports = append(st.Ports, api.PortStats{ID: p.Config.ID, Name: p.Config.Name, Kind: p.Kind, State: string(p.State), Traffic: t})
		st.Totals.Ports++
		if p.State == vswitch.StateUp {
			st.Totals.PortsUp++
		}
		st.Totals.Rx.Frames += t.Rx.Frames
		st.Totals.Rx.Bytes += t.Rx.Bytes
		st.Totals.Tx.Frames += t.Tx.Frames
		st.Totals.Tx.Bytes += t.Tx.Bytes
		st.Totals.Queue += t.Queue
		for reason, n := range t.Drops {
			st.Totals.Drops[reason] += n
		}
	}
	return reply(w, http.StatusOK, st)
}
