package metrics_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/metrics"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns what h answers, and the value of each sample by its name and labels.
func scrape(t testing.TB, h http.Handler) (text string, samples map[string]float64) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", metrics.Path, nil))
	if rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v %.500s", rec.Code, rec.Header(), rec.Body)
	}
	return rec.Body.String(), parse(t, rec.Body.String())
}

func parse(t testing.TB, text string) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if _, twice := samples[line[:i]]; err != nil || twice {
			t.Fatalf("sample %q: %v", line, err)
		}
		samples[line[:i]] = v
	}
	return samples
}

// After a run the API and the metrics have exactly the same numbers, those of
// the switch, and each frame that came in went out or was dropped.
func TestSameNumbersEverywhere(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	a, b, c := s.Plug(), s.Plug(), s.Plug()
	mtu, down := 100, true
	if _, err := s.SetPort("3", vswitch.PortChange{MTU: &mtu}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b.Send(2, 0xff, 60) // to a and c
		a.Receive()
		c.Receive()
		a.Send(1, 2, 200) // to b
		b.Receive()
		a.Send(1, 0xff, 300) // to b; too large for c
		b.Receive()
		a.Send(1, 1, 64) // back to itself: dropped
	}
	a.Send(1, 2, 70)
	b.Receive()
	mgmttest.Until(t, "every frame is accounted for", func() bool {
		n := stats(t, s.Server).Totals
		return n.Rx.Frames == 81 && n.Tx.Frames+n.Drops["mtu"]+n.Drops["same-port"] == 121
	})
	if _, err := s.SetPort("3", vswitch.PortChange{Down: &down}); err != nil {
		t.Fatal(err)
	}
	st := stats(t, s.Server)
	_, samples := scrape(t, s.Server)
	sample := func(name string, p api.PortStats, more string) uint64 {
		v, ok := samples[fmt.Sprintf(`%s{id="%d",port="%s"%s}`, name, p.ID, p.Name, more)]
		if !ok {
			t.Errorf("no sample of %s for port %s", name, p.Name)
		}
		return uint64(v)
	}
	var in, out, drops uint64
	for _, p := range st.Ports {
		for name, want := range map[string]uint64{
			"rx_frames_total": p.Rx.Frames, "rx_bytes_total": p.Rx.Bytes, "tx_frames_total": p.Tx.Frames, "tx_bytes_total": p.Tx.Bytes,
			"queue_frames": uint64(p.Queue), "macs": uint64(p.MACs), "up": map[string]uint64{api.StateUp: 1}[p.State],
		} {
			if got := sample("vswitch_port_"+name, p, ""); got != want {
				t.Errorf("port %s: %s is %d, and %d in the API", p.Name, name, got, want)
			}
		}
		for _, r := range vswitch.DropReasons() {
			n := sample("vswitch_port_drops_total", p, fmt.Sprintf(`,reason="%s"`, r))
			if n != p.Drops[r.String()] {
				t.Errorf("port %s: %s is %d, and %d in the API", p.Name, r, n, p.Drops[r.String()])
			}
			drops += n
		}
		in += p.Rx.Frames
		out += p.Tx.Frames
	}
	// 20 frames of b and 20 of a went two ways.
	if in != 81 || in+40 != out+drops || drops != 40 {
		t.Errorf("%d came in and 40 copies were made, %d went out and %d were dropped", in, out, drops)
	}
	for name, want := range map[string]float64{
		"vswitch_ports": 3, "vswitch_doors": 1, "vswitch_fdb_entries": float64(st.FDB.Entries), "vswitch_fdb_cap": float64(st.FDB.Cap),
		"vswitch_fdb_unlearned_total": float64(st.FDB.Unlearned), "vswitch_events_total": float64(s.Info().EventSeq), "vswitch_hub": 0,
		`vswitch_info{commit="abcdef0",name="lab",version="1.2.3"}`:                                    1,
		`vswitch_port_info{id="1",kind="stream",native="untagged",port="port1",pvid="1",tagged="all"}`: 1,
	} {
		if got, ok := samples[name]; !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", name, got, ok, want)
		}
	}
}

// Whatever a directory is called, and while ports come and go, a scrape is
// valid; the lint of Prometheus's own conventions finds nothing.
func TestValidScrapes(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "a\xff\"b\\c\nd"})
	text, _ := scrape(t, s.Server)
	if !strings.Contains(text, `name="a`+"\ufffd"+`\"b\\c\nd"`) {
		t.Errorf("a strange name becomes %.300s", text)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "vswitch_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if err != nil {
		t.Error(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			g := s.Plug()
			g.Send(1, 0xff, 60)
			g.Close()
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		scrape(t, s.Server)
	}
}

func BenchmarkScrape1000Ports(b *testing.B) {
	sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{plug.Stream()}, Workers: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer sw.Close()
	dir := mgmttest.Dir(b)
	for i := range 1000 {
		if _, err := sw.Add(b.Context(), fmt.Sprintf("stream:unix:%s/p%d,name=vm%d", dir, i, i)); err != nil {
			b.Fatal(err)
		}
	}
	h := metrics.Handler(sw, metrics.Options{Name: "bench"})
	b.ReportAllocs()
	for b.Loop() {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", metrics.Path, nil))
		if _, err := io.Copy(io.Discard, rec.Body); err != nil || rec.Code != http.StatusOK {
			b.Fatal(rec.Code, err)
		}
	}
}
