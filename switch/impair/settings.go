package impair

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits of what can be asked for.
const (
	MaxDelay     = time.Minute
	MinRate      = 1000  // bits/s
	MaxRate      = 1e12  // bits/s
	MaxBurst     = 1000  // frames
	MinMTU       = 68    // bytes (RFC 791)
	MaxMTU       = 65535 // bytes
	defaultQueue = 100 * time.Millisecond
)

// Settings is how bad a cable is in one direction. The zero value is a good one.
type Settings struct {
	Delay   time.Duration // each frame travels this long
	Jitter  time.Duration // more or less, uniformly; never less than nothing
	Loss    float64       // part of the frames that get lost, 0 to 1
	Burst   float64       // frames lost in a row, on average (Gilbert); 0: each by itself
	Dup     float64       // part of the frames that arrive twice, 0 to 1
	Rate    uint64        // bits of frames per second; 0: no limit
	Queue   time.Duration // longest time to wait for its turn at Rate; 0: 100 ms
	MTU     int           // longest payload that gets through; 0: any
	Reorder bool          // a frame with less jitter may overtake
	Seed    uint64        // for chance; 0: another each time
}

// Good tells whether nothing is wrong with the cable.
func (s Settings) Good() bool { return s == Settings{Seed: s.Seed} }

// Cable is both directions: In is towards the switch.
type Cable struct{ In, Out Settings }

// Good tells whether nothing is wrong with either direction.
func (c Cable) Good() bool { return c.In.Good() && c.Out.Good() }

// key is one word of the grammar.
type key struct {
	name string
	set  func(*Settings, string) error
	text func(Settings) string // "": as by default
}

var keys = []key{
	{"delay", func(s *Settings, v string) error { return setTime(&s.Delay, v, 0) }, func(s Settings) string { return timeText(s.Delay) }},
	{"jitter", func(s *Settings, v string) error { return setTime(&s.Jitter, v, 0) }, func(s Settings) string { return timeText(s.Jitter) }},
	{"loss", func(s *Settings, v string) error { return setPart(&s.Loss, v) }, func(s Settings) string { return partText(s.Loss) }},
	{"burst", setBurst, func(s Settings) string { return numberText(s.Burst) }},
	{"dup", func(s *Settings, v string) error { return setPart(&s.Dup, v) }, func(s Settings) string { return partText(s.Dup) }},
	{"rate", setRate, func(s Settings) string { return rateText(s.Rate) }},
	{"queue", func(s *Settings, v string) error { return setTime(&s.Queue, v, time.Millisecond) }, func(s Settings) string { return timeText(s.Queue) }},
	{"mtu", setMTU, func(s Settings) string { return numberText(float64(s.MTU)) }},
	{"reorder", setReorder, reorderText},
	{"seed", setSeed, seedText},
}

// Parse reads what String writes: KEY:VALUE joined by plus signs, each for both
// directions unless it begins with in- or out-. "none" and nothing mean a good
// cable.
func Parse(text string) (Cable, error) {
	var c Cable
	if text == "" || text == "none" {
		return c, nil
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(text, "+") {
		name, value, _ := strings.Cut(part, ":")
		to := []*Settings{&c.In, &c.Out}
		if rest, ok := strings.CutPrefix(name, "in-"); ok {
			name, to = rest, to[:1]
		} else if rest, ok := strings.CutPrefix(name, "out-"); ok {
			name, to = rest, to[1:]
		}
		k := findKey(name)
		if k == nil {
			return Cable{}, fmt.Errorf("%q: unknown word %q: want %s, with in- or out- before it for one direction", text, name, keyNames())
		}
		for _, s := range to {
			id := k.name + map[bool]string{true: ">", false: "<"}[s == &c.In]
			if seen[id] {
				return Cable{}, fmt.Errorf("%q: %s is given twice", text, name)
			}
			seen[id] = true
			if err := k.set(s, value); err != nil {
				return Cable{}, fmt.Errorf("%q: %s:%s: %w", text, name, value, err)
			}
		}
	}
	return c, c.Validate()
}

func findKey(name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

func keyNames() string {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// Validate checks what goes together.
func (c Cable) Validate() error { return cmp.Or(c.In.validate(), c.Out.validate()) }

func (s Settings) validate() error {
	part := func(f float64) bool { return f >= 0 && f <= 1 } // NaN is not
	switch {
	case s.Delay < 0 || s.Delay > MaxDelay || s.Jitter < 0 || s.Jitter > MaxDelay || s.Queue < 0 || s.Queue > MaxDelay:
		return fmt.Errorf("want times from 0 to %v", MaxDelay)
	case !part(s.Loss) || !part(s.Dup):
		return fmt.Errorf("loss:%v dup:%v: want 0%% to 100%%", s.Loss, s.Dup)
	case s.Burst != 0 && (math.IsNaN(s.Burst) || s.Burst < 1 || s.Burst > MaxBurst):
		return fmt.Errorf("burst:%v: want 1 to %d frames", s.Burst, MaxBurst)
	case s.Rate != 0 && (s.Rate < MinRate || s.Rate > MaxRate):
		return fmt.Errorf("rate:%s: want 1k to 1000G", rateText(s.Rate))
	case s.MTU != 0 && (s.MTU < MinMTU || s.MTU > MaxMTU):
		return fmt.Errorf("mtu:%d: want %d to %d", s.MTU, MinMTU, MaxMTU)
	case s.Queue != 0 && s.Rate == 0:
		return fmt.Errorf("queue:%v means nothing without a rate", s.Queue)
	case s.Burst != 0 && s.Loss == 0:
		return fmt.Errorf("burst:%v means nothing without a loss", s.Burst)
	case s.Burst != 0 && s.Loss < 1 && s.Loss > s.Burst*(1-s.Loss):
		return fmt.Errorf("burst:%v: so short bursts cannot make a loss of %s", s.Burst, partText(s.Loss))
	}
	return nil
}

// String writes c as Parse reads it.
func (c Cable) String() string {
	var parts []string
	for _, k := range keys {
		in, out := k.text(c.In), k.text(c.Out)
		switch {
		case in == out && in != "":
			parts = append(parts, k.name+":"+in)
		default:
			if in != "" {
				parts = append(parts, "in-"+k.name+":"+in)
			}
			if out != "" {
				parts = append(parts, "out-"+k.name+":"+out)
			}
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, "+")
}

// String writes one direction.
func (s Settings) String() string { return Cable{s, s}.String() }

func setTime(d *time.Duration, v string, least time.Duration) error {
	t, err := time.ParseDuration(v)
	if err != nil || t < least || t > MaxDelay {
		return fmt.Errorf("want a time from %v to %v, such as 20ms or 1.5s", least, MaxDelay)
	}
	*d = t
	return nil
}

func timeText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strings.Replace(d.String(), "µ", "u", 1)
}

func setPart(f *float64, v string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64)
	if err != nil || !strings.HasSuffix(v, "%") || !(n >= 0 && n <= 100) {
		return fmt.Errorf("want a percentage, such as 0.5%%")
	}
	*f = n / 100
	return nil
}

func partText(f float64) string {
	if f == 0 {
		return ""
	}
	// Twelve digits: what 100 does to a fraction is in those behind.
	return strconv.FormatFloat(f*100, 'g', 12, 64) + "%"
}

func setBurst(s *Settings, v string) error {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= 1 && n <= MaxBurst) {
		return fmt.Errorf("want 1 to %d frames", MaxBurst)
	}
	s.Burst = n
	return nil
}

func numberText(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// rateUnits are powers of 1,000, as networks count.
var rateUnits = []struct {
	suffix string
	times  float64
}{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"", 1}}

func setRate(s *Settings, v string) error {
	text := strings.TrimSuffix(v, "bit")
	times := 1.0
	for _, u := range rateUnits {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, times = rest, u.times
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n*times >= MinRate && n*times <= MaxRate) {
		return fmt.Errorf("want bits per second from 1k to 1000G, such as 10M or 1.5Mbit")
	}
	s.Rate = uint64(math.Round(n * times))
	return nil
}

func rateText(rate uint64) string {
	for _, u := range rateUnits {
		if n := uint64(u.times); rate >= n && rate%(n/min(n, 10)) == 0 {
			return strconv.FormatFloat(float64(rate)/u.times, 'f', -1, 64) + u.suffix
		}
	}
	return ""
}

func setMTU(s *Settings, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < MinMTU || n > MaxMTU {
		return fmt.Errorf("want %d to %d bytes", MinMTU, MaxMTU)
	}
	s.MTU = n
	return nil
}

func setReorder(s *Settings, v string) error {
	if v != "on" && v != "off" {
		return fmt.Errorf("want on or off")
	}
	s.Reorder = v == "on"
	return nil
}

func reorderText(s Settings) string {
	if s.Reorder {
		return "on"
	}
	return ""
}

func setSeed(s *Settings, v string) (err error) {
	if s.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
		return fmt.Errorf("want a whole number")
	}
	return nil
}

func seedText(s Settings) string {
	if s.Seed == 0 {
		return ""
	}
	return strconv.FormatUint(s.Seed, 10)
}
