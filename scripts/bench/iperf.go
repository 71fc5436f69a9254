//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// iperf is one run of iperf3 through a switch.
type iperf struct {
	mtu, flows int
	udp        bool
	dur        time.Duration
	congestion string // TCP's congestion control
	own        bool   // it is this machine's, and not what Linux comes with
}

// linuxCongestion is what Linux comes with. All switches are measured with it: another one may be limited by what it
// costs itself. BBR's pacing, for instance, programs a timer for each piece that is sent, which on a virtual machine costs
// more than to send it.
const linuxCongestion = "cubic"

// iperfs are the runs of iperf3.
func iperfs(dur time.Duration) []iperf {
	list := []iperf{{mtu: 1500, flows: 1}, {mtu: 1500, flows: 8}, {mtu: 9000, flows: 1}, {mtu: 9000, flows: 8}}
	if own := machineCongestion(); own != linuxCongestion {
		list = append(list, iperf{mtu: 1500, flows: 1, congestion: own, own: true}, iperf{mtu: 1500, flows: 8, congestion: own, own: true})
	}
	for _, mtu := range []int{1500, 9000} {
		list = append(list, iperf{mtu: mtu, flows: 1, udp: true}, iperf{mtu: mtu, flows: 8, udp: true})
	}
	for i := range list {
		list[i].dur = dur
		if list[i].congestion == "" {
			list[i].congestion = linuxCongestion
		}
	}
	return list
}

func machineCongestion() string {
	own, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return linuxCongestion
	}
	return strings.TrimSpace(string(own))
}

// String is the scenario's name.
func (i iperf) String() string {
	switch {
	case i.udp:
		return fmt.Sprintf("host/udp/%d/%d", i.mtu, i.flows)
	case i.own:
		return fmt.Sprintf("host/tcp/%d/%d/own", i.mtu, i.flows)
	}
	return fmt.Sprintf("host/tcp/%d/%d", i.mtu, i.flows)
}

// iperfReport is what iperf3 -J says, as far as it matters here.
type iperfReport struct {
	Error string
	End   struct {
		Received struct {
			Bits float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sum struct {
			Bits float64 `json:"bits_per_second"`
			Lost float64 `json:"lost_percent"`
		} `json:"sum"`
	} `json:"end"`
}

func (i iperf) measure(h hostPeer, b *bed, vswitch string) (values, error) {
	s, _, err := h.open(b, vswitch, i.mtu)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	s.daemon(s.ends[0].in("iperf3", "-s"))
	args := []string{"timeout", "30", "iperf3", "-c", "10.77.0.1", "-J", "-t", fmt.Sprint(max(1, int(i.dur.Seconds()+0.5))), "-P", fmt.Sprint(i.flows)}
	if !i.udp {
		args = append(args, "-C", i.congestion)
	} else {
		args = append(args, "-u", "-b", "0", "-l", fmt.Sprint(i.mtu-28))
	}
	var r iperfReport
	for try := 0; ; try++ {
		r = iperfReport{}
		out, err := s.ends[1].in(args...).Output()
		if e := json.Unmarshal(out, &r); e != nil {
			return nil, fmt.Errorf("iperf3: %w", errors.Join(err, e))
		}
		if r.Error == "" {
			break
		}
		if try == 20 || !strings.Contains(r.Error, "refused") { // the server may not listen yet
			return nil, fmt.Errorf("iperf3: %s", r.Error)
		}
		time.Sleep(100 * time.Millisecond)
	}
	bits := r.End.Received.Bits
	if i.udp {
		bits = r.End.Sum.Bits * (1 - r.End.Sum.Lost/100)
	}
	return values{mGbps: bits / 1e9}, nil
}
