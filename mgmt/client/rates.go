package client

import "vnetkit/mgmt/api"

// Rate is what went on per second.
type Rate struct {
	RxFrames float64 `json:"rx_frames_per_second"`
	RxBits   float64 `json:"rx_bits_per_second"`
	TxFrames float64 `json:"tx_frames_per_second"`
	TxBits   float64 `json:"tx_bits_per_second"`
	Drops    float64 `json:"drops_per_second"`
}

// Rates is what went on between two Stats.
type Rates struct {
	Seconds float64      `json:"seconds"`
	Totals  Rate         `json:"totals"` // sums over the ports that were there both times
	Ports   map[int]Rate `json:"ports"`  // by number
}

// RatesBetween compares two readings. ok is false when they cannot be
// compared: the switch was started anew, or no time has passed. Ports that were
// not there both times are left out.
func RatesBetween(a, b api.Stats) (r Rates, ok bool) {
	r.Ports = map[int]Rate{}
	r.Seconds = float64(b.MonotonicNS-a.MonotonicNS) / 1e9
	if a.Life != b.Life || r.Seconds <= 0 {
		return Rates{Ports: r.Ports}, false
	}
	before := map[int]api.PortStats{}
	for _, p := range a.Ports {
		before[p.ID] = p
	}
	for _, p := range b.Ports {
		old, known := before[p.ID]
		if !known || old.Name != p.Name || p.Rx.Frames < old.Rx.Frames || p.Tx.Frames < old.Tx.Frames {
			continue // another port has taken the number
		}
		per := func(from, to uint64) float64 { return float64(to-min(from, to)) / r.Seconds }
		rate := Rate{
			RxFrames: per(old.Rx.Frames, p.Rx.Frames),
			RxBits:   8 * per(old.Rx.Bytes, p.Rx.Bytes),
			TxFrames: per(old.Tx.Frames, p.Tx.Frames),
			TxBits:   8 * per(old.Tx.Bytes, p.Tx.Bytes),
			Drops:    per(sum(old.Drops), sum(p.Drops)),
		}
		r.Ports[p.ID] = rate
		r.Totals.RxFrames += rate.RxFrames
		r.Totals.RxBits += rate.RxBits
		r.Totals.TxFrames += rate.TxFrames
		r.Totals.TxBits += rate.TxBits
		r.Totals.Drops += rate.Drops
	}
	return r, true
}

func sum(drops map[string]uint64) (n uint64) {
	for _, d := range drops {
		n += d
	}
	return n
}
