package mgmt

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

func (s *Server) getFDB(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "port", "vlan", "mac", "static")
	if err != nil {
		return err
	}
	filter, err := fdbFilter(q)
	if err != nil {
		return err
	}
	static, only, err := queryBool(q, "static")
	if err != nil {
		return err
	}
	entries, err := s.sw.FDB(filter)
	if err != nil {
		return s.aboutPort(filter.Port, err)
	}
	names := s.portNames()
	answer := api.FDB{Entries: make([]api.FDBEntry, 0, len(entries))}
	for _, e := range entries {
		if only && e.Static != static {
			continue
		}
		answer.Entries = append(answer.Entries, api.FDBEntry{
			MAC:        e.MAC.String(),
			VLAN:       int(e.VID),
			Port:       e.Port,
			PortName:   names[e.Port],
			AgeSeconds: int64(e.Age.Seconds()),
			Static:     e.Static,
		})
	}
	return reply(w, http.StatusOK, answer)
}

// portNames are the names of all ports, by number.
func (s *Server) portNames() map[int]string {
	names := map[int]string{}
	for _, p := range s.sw.Ports() {
		names[p.Config.ID] = p.Config.Name
	}
	return names
}

func (s *Server) postFDB(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	req, err := decode[api.FDBAdd](w, r)
	if err != nil {
		return err
	}
	mac, err := frame.ParseMAC(req.MAC)
	if err != nil {
		return invalid("mac: %v", err)
	}
	port, err := s.sw.Port(req.Port)
	if err != nil {
		return s.aboutPort(req.Port, err)
	}
	vid := port.Config.Home()
	switch {
	case req.VLAN != 0:
		if vid, err = frame.ParseVID(strconv.Itoa(req.VLAN)); err != nil {
			return invalid("vlan: %v", err)
		}
	case vid == 0:
		return &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf("port %s has no native VLAN to put the address into", req.Port), Hint: "say which VLAN the address is in"}
	}
	if err := s.sw.AddFDB(vid, mac, req.Port); err != nil {
		return s.aboutPort(req.Port, err)
	}
	return reply(w, http.StatusCreated, api.FDBEntry{MAC: mac.String(), VLAN: int(vid), Port: port.Config.ID, PortName: port.Config.Name, Static: true})
}

func (s *Server) deleteFDB(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "port", "vlan", "mac", "static")
	if err != nil {
		return err
	}
	filter, err := fdbFilter(q)
	if err != nil {
		return err
	}
	if filter.Static, _, err = queryBool(q, "static"); err != nil {
		return err
	}
	n, err := s.sw.FlushFDB(filter)
	if err != nil {
		return s.aboutPort(filter.Port, err)
	}
	return reply(w, http.StatusOK, api.Removed{Removed: n})
}

// fdbFilter reads what GET and DELETE have in common.
func fdbFilter(q url.Values) (vswitch.FDBFilter, error) {
	f := vswitch.FDBFilter{Port: q.Get("port")}
	if q.Has("port") && f.Port == "" { // a script's empty variable must not mean all
		return f, &api.Error{Code: api.ErrNoPort, Message: `no port ""`, Hint: "leave port out to mean all"}
	}
	if q.Has("vlan") {
		vid, err := frame.ParseVID(q.Get("vlan"))
		if err != nil {
			return f, invalid("vlan: %v", err)
		}
		f.VID = vid
	}
	if q.Has("mac") {
		mac, err := frame.ParseMAC(q.Get("mac"))
		if err != nil {
			return f, invalid("mac: %v", err)
		}
		f.MAC = &mac
	}
	return f, nil
}
