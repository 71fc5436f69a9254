package mgmt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
	"vnetkit/mgmt/filter"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// getCapture streams frames as pcapng until the caller leaves.
//
// Frames are private, so this needs the right to change things. Unlike readers
// of events, those of frames may be as slow as they like: what they do not take
// piles up in the switch's bounded buffer and is then lost, counted in the
// capture; so there is no limit to how long a piece may wait to be read. Who
// shuts down the sending half of the connection ends the capture, and gets what
// is left and the sums.
func (s *Server) getCapture(w http.ResponseWriter, r *http.Request) error {
	opt, about, err := s.captureOptions(r)
	if err != nil {
		return err
	}
	var c *vswitch.Capture
	if r.Method != http.MethodHead {
		if c, err = s.sw.Capture(opt); err != nil {
			return err
		}
		defer c.Close()
	}
	ctl := http.NewResponseController(w)
	_ = ctl.SetWriteDeadline(time.Time{}) // fails only where writing will
	w.Header().Set("Content-Type", "application/x-pcapng")
	w.Header().Set("Content-Disposition", `attachment; filename="`+fileName(s.opt.Name)+`.pcapng"`)
	w.Header().Set("Cache-Control", "no-store")
	if c == nil {
		return nil
	}
	out := capture.NewWriter(w, about)
	for _, i := range s.captured(opt.Ports) {
		out.Announce(i)
	}
	show := func(frames []vswitch.Captured, lost uint64) {
		for i := range frames {
			out.Packet(packet(&frames[i]))
		}
		out.Lost(lost, time.Now())
	}
	for {
		// Flushing tells the caller also before the first frame that it is served.
		if err := flushBoth(out, ctl); err != nil {
			return nil // the caller has left
		}
		frames, lost, err := c.Read(r.Context())
		if err != nil {
			break
		}
		show(frames, lost)
	}
	// The switch goes down, or the caller has hung up, or only his half of the
	// connection, as who still wants to read what was captured until then.
	_ = c.Close()
	_ = ctl.SetWriteDeadline(time.Now().Add(s.limits.write))
	for frames, lost, err := c.Read(context.Background()); err == nil; frames, lost, err = c.Read(context.Background()) {
		show(frames, lost)
	}
	out.Finish(time.Now())
	_ = flushBoth(out, ctl)
	return nil
}

func flushBoth(out *capture.Writer, ctl *http.ResponseController) error {
	if err := out.Flush(); err != nil {
		return err
	}
	if err := ctl.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// captureOptions reads the query.
func (s *Server) captureOptions(r *http.Request) (opt vswitch.CaptureOptions, about capture.Options, err error) {
	q, err := query(r, "ports", "filter", "snap")
	if err != nil {
		return opt, about, err
	}
	about = capture.Options{Application: "vswitch " + s.opt.Version, Comment: "switch " + s.opt.Name, Filter: q.Get("filter")}
	if q.Has("ports") && q.Get("ports") == "" {
		return opt, about, &api.Error{Code: api.ErrNoPort, Message: `no port ""`, Hint: "write ports=all, or leave it out, to mean all"}
	}
	if ports := q.Get("ports"); ports != "" && ports != "all" {
		opt.Ports = strings.Split(ports, ",")
	}
	for _, ref := range opt.Ports {
		if _, err := s.sw.Port(ref); err != nil {
			return opt, about, s.aboutPort(ref, err)
		}
	}
	if q.Has("snap") {
		n, err := strconv.Atoi(q.Get("snap"))
		if err != nil || n < 0 || n > frame.MaxLen {
			return opt, about, invalid("snap=%.100q: want a number of bytes from 1 to %d, or 0 for whole frames", q.Get("snap"), frame.MaxLen)
		}
		opt.Snap, about.Snap = n, n
	}
	if about.Filter != "" {
		f, err := filter.Parse(about.Filter)
		var bad *filter.SyntaxError
		if errors.As(err, &bad) {
			return opt, about, &api.Error{Code: api.ErrInvalid, Message: bad.Error(), Hint: bad.Hint}
		}
		opt.Match = f.Match
	}
	return opt, about, nil
}

// captured lists the ports that a capture begins with.
func (s *Server) captured(refs []string) (list []capture.Interface) {
	ports := s.sw.Ports()
	for _, ref := range refs {
		if p, err := s.sw.Port(ref); err == nil {
			list = append(list, capture.Interface{Port: p.Config.ID, Name: p.Config.Name})
		}
	}
	for i := range ports {
		if refs == nil {
			list = append(list, capture.Interface{Port: ports[i].Config.ID, Name: ports[i].Config.Name})
		}
	}
	return list
}

func packet(c *vswitch.Captured) *capture.Packet {
	p := &capture.Packet{
		Interface: capture.Interface{Port: c.Port, Name: c.Name},
		Time:      c.Time,
		Out:       c.Dir == vswitch.DirOut,
		Len:       c.Len,
		Data:      c.Data,
	}
	if c.Dropped {
		p.Comment = fmt.Sprintf("dropped: %s (%s)", c.Reason, c.Reason.Sentence())
	}
	return p
}

// fileName is name without what a header or a shell could misread.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, name)
}
