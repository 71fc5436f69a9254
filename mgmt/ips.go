package mgmt

import (
	"net/http"

	"vnetkit/mgmt/api"
)

func (s *Server) getIPs(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "port", "vlan", "mac")
	if err != nil {
		return err
	}
	filter, err := fdbFilter(q)
	if err != nil {
		return err
	}
	entries, err := s.sw.IPs(filter)
	if err != nil {
		return s.aboutPort(filter.Port, err)
	}
	names := s.portNames()
	answer := api.IPs{Entries: make([]api.IPEntry, 0, len(entries))}
	for _, e := range entries {
		answer.Entries = append(answer.Entries, api.IPEntry{
			IP:         e.Addr.String(),
			MAC:        e.MAC.String(),
			VLAN:       int(e.VID),
			Port:       e.Port,
			PortName:   names[e.Port],
			AgeSeconds: int64(e.Age.Seconds()),
		})
	}
	return reply(w, http.StatusOK, answer)
}
