package mgmt

import (
	"context"
	"net/http"

	"vnetkit/mgmt/api"
)

// Configurer knows the switch's config file. mgmt/config has one.
type Configurer interface {
	// Config is the running configuration.
	Config() api.Config

	// Reload makes the switch what the file says, or leaves everything as it
	// is and says why. A dry one only says what it would do.
	Reload(ctx context.Context, dry bool) (api.Reloaded, error)
}

var errNoConfigurer = &api.Error{Code: api.ErrFailed, Message: "this switch is part of a program that has no config file"}

func (s *Server) getConfig(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if s.opt.Config == nil {
		return errNoConfigurer
	}
	return reply(w, http.StatusOK, s.opt.Config.Config())
}

func (s *Server) postReload(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "dry-run")
	if err != nil {
		return err
	}
	dry, _, err := queryBool(q, "dry-run")
	if err != nil {
		return err
	}
	if r.ContentLength != 0 {
		return &api.Error{Code: api.ErrBadRequest, Message: "a reload takes no body", Hint: "the file is the one that vswitch --config names"}
	}
	if s.opt.Config == nil {
		return errNoConfigurer
	}
	answer, err := s.opt.Config.Reload(r.Context(), dry)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}
