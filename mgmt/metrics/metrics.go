// Package metrics shows a switch to Prometheus.
//
// Theory of operation: a collector asks the switch for its ports and for
// itself at each scrape, and makes every sample of those two answers; nothing
// is counted twice or kept between scrapes. So the numbers are those of GET
// /v1/stats, under the same names: rx.frames of a port is
// vswitch_port_rx_frames_total, and a drop reason is the label reason. The
// registry is private, and holds the Go runtime and the process besides.
//
// The list below is the only one of the metrics; docs/metrics.md explains each
// and a test compares the two.
package metrics

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	vswitch "vnetkit/switch"
)

// Path is where the metrics are served.
const Path = "/metrics"

// maxScrapes is how many scrapes run at once; further ones get 503.
const maxScrapes = 4

// Options says what a scrape should know about the daemon. The zero value works.
type Options struct {
	Name    string       // the switch's name
	Version string       // of the daemon
	Commit  string       // of the daemon
	Log     *slog.Logger // what goes wrong; nil: discard
}

// Handler answers scrapes of sw in Prometheus's text format.
func Handler(sw *vswitch.Switch, opt Options) http.Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return promhttp.HandlerFor(registry(sw, opt), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(opt.Log.Handler(), slog.LevelError),
		// One bad sample must not hide all others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		// Who scrapes is on this host, as a rule: bytes are cheaper than compressing them.
		DisableCompression: true,
	})
}

func registry(sw *vswitch.Switch, opt Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		newCollector(sw, opt),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// What there is about the switch as a whole.
var (
	infoDesc      = prometheus.NewDesc("vswitch_info", "Always 1; the labels say which switch this is and what it runs.", []string{"name", "version", "commit"}, nil)
	startDesc     = prometheus.NewDesc("vswitch_start_time_seconds", "When the switch was started, in seconds since 1970.", nil, nil)
	workersDesc   = prometheus.NewDesc("vswitch_workers", "Threads that carry frames.", nil, nil)
	hubDesc       = prometheus.NewDesc("vswitch_hub", "1 if the switch floods everything as a hub does, else 0.", nil, nil)
	ageingDesc    = prometheus.NewDesc("vswitch_ageing_seconds", "Learned addresses not seen for this long are forgotten.", nil, nil)
	portsDesc     = prometheus.NewDesc("vswitch_ports", "Ports there are now, in any state.", nil, nil)
	doorsDesc     = prometheus.NewDesc("vswitch_doors", "Places where clients can plug in.", nil, nil)
	capturesDesc  = prometheus.NewDesc("vswitch_captures", "Captures that run now.", nil, nil)
	eventsDesc    = prometheus.NewDesc("vswitch_events_total", "Events since the start: ports, links, doors, settings.", nil, nil)
	fdbDesc       = prometheus.NewDesc("vswitch_fdb_entries", "Addresses in the forwarding table now.", nil, nil)
	fdbCapDesc    = prometheus.NewDesc("vswitch_fdb_cap", "Most addresses that the forwarding table holds.", nil, nil)
	unlearnedDesc = prometheus.NewDesc("vswitch_fdb_unlearned_total", "Addresses not learned because of a limit.", nil, nil)
)

// What there is about each port. Its number comes first: names may change.
var (
	portLabels   = []string{"id", "port"}
	portInfoDesc = prometheus.NewDesc("vswitch_port_info", "Always 1; the labels say what the port is.", []string{"id", "port", "kind", "pvid", "native", "tagged"}, nil)
	upDesc       = prometheus.NewDesc("vswitch_port_up", "1 if the port carries frames, 0 if it is down or waits for its link.", portLabels, nil)
	rxFramesDesc = prometheus.NewDesc("vswitch_port_rx_frames_total", "Frames that came in from the port's link.", portLabels, nil)
	rxBytesDesc  = prometheus.NewDesc("vswitch_port_rx_bytes_total", "Bytes of the frames that came in from the port's link, without check sequences.", portLabels, nil)
	txFramesDesc = prometheus.NewDesc("vswitch_port_tx_frames_total", "Frames that went out to the port's link.", portLabels, nil)
	txBytesDesc  = prometheus.NewDesc("vswitch_port_tx_bytes_total", "Bytes of the frames that went out to the port's link, without check sequences.", portLabels, nil)
	dropsDesc    = prometheus.NewDesc("vswitch_port_drops_total", "Frames dropped at the port, by reason.", []string{"id", "port", "reason"}, nil)
	queueDesc    = prometheus.NewDesc("vswitch_port_queue_frames", "Frames that wait for a slow receiver, or travel on a bad cable, now.", portLabels, nil)
	dupsDesc     = prometheus.NewDesc("vswitch_port_duplicated_total", "Frames that the port's cable, bad on purpose, has made twice.", []string{"id", "port", "direction"}, nil)
	offloadDesc  = prometheus.NewDesc("vswitch_port_offload_frames_total", "What was done on frames that went out because the port's link takes them no other way, by work.", []string{"id", "port", "work"}, nil)
	macsDesc     = prometheus.NewDesc("vswitch_port_macs", "Addresses learned at the port now.", portLabels, nil)
)

// What there is about rings.
var (
	stpDesc      = prometheus.NewDesc("vswitch_stp_info", "Always 1; the label says in which mode the spanning tree is: off, rstp or fstp.", []string{"mode"}, nil)
	changesDesc  = prometheus.NewDesc("vswitch_stp_topology_changes_total", "Changes of the topology that the switch saw or heard of, by VLAN; 0: all VLANs.", []string{"vlan"}, nil)
	isRootDesc   = prometheus.NewDesc("vswitch_stp_root", "1 if this switch is the root of the VLAN's tree, else 0.", []string{"vlan"}, nil)
	blockedDesc  = prometheus.NewDesc("vswitch_port_stp_blocked_trees", "Spanning trees in which the port is discarding.", portLabels, nil)
	rxBPDUsDesc  = prometheus.NewDesc("vswitch_port_stp_rx_bpdus_total", "Spanning tree frames that came in.", portLabels, nil)
	txBPDUsDesc  = prometheus.NewDesc("vswitch_port_stp_tx_bpdus_total", "Spanning tree frames that went out.", portLabels, nil)
	badBPDUsDesc = prometheus.NewDesc("vswitch_port_stp_bad_bpdus_total", "Spanning tree frames that came in and could not be read.", portLabels, nil)
	loopDesc     = prometheus.NewDesc("vswitch_port_loop", "1 if frames that went out by the port came back by another in the last seconds, else 0.", portLabels, nil)
)

func descs() []*prometheus.Desc {
	return []*prometheus.Desc{
		infoDesc, startDesc, workersDesc, hubDesc, ageingDesc, portsDesc, doorsDesc, capturesDesc, eventsDesc, fdbDesc, fdbCapDesc, unlearnedDesc,
		portInfoDesc, upDesc, rxFramesDesc, rxBytesDesc, txFramesDesc, txBytesDesc, dropsDesc, queueDesc, dupsDesc, offloadDesc, macsDesc,
		stpDesc, changesDesc, isRootDesc, blockedDesc, rxBPDUsDesc, txBPDUsDesc, badBPDUsDesc, loopDesc,
	}
}

// collector makes samples of a switch.
type collector struct {
	sw      *vswitch.Switch
	info    prometheus.Metric
	reasons []string // by DropReason
}

var _ prometheus.Collector = (*collector)(nil)

func newCollector(sw *vswitch.Switch, opt Options) *collector {
	// A directory may be called anything, a label must be UTF-8.
	label := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	c := &collector{sw: sw, info: gauge(infoDesc, 1, label(opt.Name), label(opt.Version), label(opt.Commit))}
	for _, r := range vswitch.DropReasons() {
		c.reasons = append(c.reasons, r.String())
	}
	return c
}

// Describe lists what Collect makes.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs() {
		ch <- d
	}
}

// Collect makes the samples of one scrape.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	in, ports := c.sw.Info(), c.sw.Ports()
	ch <- c.info
	ch <- gauge(startDesc, float64(in.Started.UnixNano())/1e9)
	ch <- gauge(workersDesc, float64(in.Workers))
	ch <- gauge(hubDesc, truth(in.Hub))
	ch <- gauge(ageingDesc, in.Ageing.Seconds())
	ch <- gauge(portsDesc, float64(len(ports)))
	ch <- gauge(doorsDesc, float64(len(in.Doors)))
	ch <- gauge(capturesDesc, float64(in.Captures))
	ch <- counter(eventsDesc, in.EventSeq)
	ch <- gauge(fdbDesc, float64(in.FDBSize))
	ch <- gauge(fdbCapDesc, float64(in.FDBCap))
	ch <- counter(unlearnedDesc, in.Unlearned)
	ch <- gauge(stpDesc, 1, string(in.STP.Mode))
	for _, t := range c.sw.SpanningTree().Trees {
		vlan := strconv.Itoa(int(t.VID))
		ch <- counter(changesDesc, t.Changes, vlan)
		ch <- gauge(isRootDesc, truth(t.RootPort == 0), vlan)
	}
	for i := range ports {
		c.port(ch, &ports[i])
	}
}

// port makes the samples of p. Reasons that never occurred are there with 0:
// rate() sees an increase only from a sample to the next one.
func (c *collector) port(ch chan<- prometheus.Metric, p *vswitch.PortInfo) {
	id, name, tagged := strconv.Itoa(p.Config.ID), p.Config.Name, "none"
	if p.Config.Tagged != nil {
		tagged = p.Config.Tagged.String()
	}
	ch <- gauge(portInfoDesc, 1, id, name, p.Kind, strconv.Itoa(int(p.Config.PVID)), p.Config.Native.String(), tagged)
	ch <- gauge(upDesc, truth(p.State == vswitch.StateUp), id, name)
	ch <- counter(rxFramesDesc, p.Rx.Frames, id, name)
	ch <- counter(rxBytesDesc, p.Rx.Bytes, id, name)
	ch <- counter(txFramesDesc, p.Tx.Frames, id, name)
	ch <- counter(txBytesDesc, p.Tx.Bytes, id, name)
	ch <- gauge(queueDesc, float64(p.Queue), id, name)
	ch <- counter(dupsDesc, p.Duplicated[vswitch.DirIn], id, name, "in")
	ch <- counter(dupsDesc, p.Duplicated[vswitch.DirOut], id, name, "out")
	ch <- gauge(macsDesc, float64(p.MACs), id, name)
	for _, o := range []struct {
		work string
		n    uint64
	}{{"cut", p.Offload.Cut}, {"segments", p.Offload.Segments}, {"completed", p.Offload.Completed}, {"merged", p.Offload.Merged}} {
		ch <- counter(offloadDesc, o.n, id, name, o.work)
	}
	ch <- gauge(loopDesc, truth(p.Loop != ""), id, name)
	if p.Tree.Role != "" {
		ch <- gauge(blockedDesc, float64(p.Tree.Blocked), id, name)
		ch <- counter(rxBPDUsDesc, p.Tree.Rx, id, name)
		ch <- counter(txBPDUsDesc, p.Tree.Tx, id, name)
		ch <- counter(badBPDUsDesc, p.Tree.Bad, id, name)
	}
	for r, reason := range c.reasons {
		ch <- counter(dropsDesc, p.Drops[r], id, name, reason)
	}
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(d *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
