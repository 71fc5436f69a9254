package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// MaxSpin keeps a mistyped unit from burning a CPU.
const MaxSpin = 10 * time.Millisecond

// MaxWorkers is more threads than any switch has use for.
const MaxWorkers = 1024

// valueType is how a value stands in a file.
type valueType int

const (
	text valueType = iota
	truth
	number
	period // a text that is a time
)

// rootKey is a setting of the switch as a whole. Its name is that of its flag.
type rootKey struct {
	name    string
	typ     valueType
	def     string // as its flag takes it
	restart bool   // a running switch cannot change it
	want    string // what values there are, after "want "
	check   func(string) error
}

// rootKeys is all that stands above the first table, in the order of a file.
// A test compares it with the flags of vswitch.
var rootKeys = []rootKey{
	{name: "dir", typ: text, restart: true, want: `a directory or a name, such as "/run/vswitch/lab"`},
	{name: "mode", typ: text, def: "0600", restart: true, want: `an octal file mode in quotes, such as "0660"`, check: checkMode},
	{name: "group", typ: text, restart: true, want: `the name of a group, such as "kvm"`},
	{name: "mgmtgroup", typ: text, restart: true, want: `the name of a group, such as "netadmin"`},
	{name: "hub", typ: truth, def: "false", want: "true or false"},
	{name: "ageing", typ: period, def: "300s", want: `whole seconds from "1s" to "1000000s"`, check: checkAgeing},
	{name: "stp", typ: text, def: "off", want: `"off", "rstp" or "fstp"`, check: oneOf("off", "rstp", "fstp")},
	{name: "stp-priority", typ: number, def: "32768", want: "a number from 0 to 65535, by custom a multiple of 4096", check: between(0, 65535)},
	{name: "stp-hello", typ: period, def: "2s", want: `whole seconds from "1s" to "10s"`, check: seconds(1, 10)},
	{name: "stp-max-age", typ: period, def: "20s", want: `whole seconds from "6s" to "40s"`, check: seconds(6, 40)},
	{name: "stp-forward-delay", typ: period, def: "15s", want: `whole seconds from "4s" to "30s"`, check: seconds(4, 30)},
	{name: "fdb-size", typ: number, def: "65536", restart: true, want: fmt.Sprintf("a number from 1 to %d", vswitch.MaxFDBSize), check: between(1, vswitch.MaxFDBSize)},
	{name: "workers", typ: number, def: "0", restart: true, want: fmt.Sprintf("a number from 0 (half as many as CPUs) to %d", MaxWorkers), check: between(0, MaxWorkers)},
	{name: "spin", typ: period, def: "75us", restart: true, want: `a time from "0s" to "10ms"`, check: checkSpin},
	{name: "metrics", typ: text, restart: true, want: `an address such as "127.0.0.1:9101"`},
	{name: "web", typ: text, restart: true, want: `an address of this host such as "127.0.0.1:8080"`},
	{name: "web-write", typ: truth, def: "false", restart: true, want: "true or false"},
	{name: "quiet", typ: truth, def: "false", restart: true, want: "true or false"},
	{name: "verbose", typ: truth, def: "false", restart: true, want: "true or false"},
}

// The tables of a file.
const (
	tableDefault = "port-default"
	tablePort    = "port"
	tableFDB     = "fdb"
)

// rootNames are all keys of the root table.
func rootNames() []string {
	var names []string
	for _, k := range rootKeys {
		names = append(names, k.name)
	}
	return append(names, tableDefault, tablePort, tableFDB)
}

// canonical writes a value of k in one way only.
func (k rootKey) canonical(s string) string {
	switch k.typ {
	case truth:
		if on, err := strconv.ParseBool(s); err == nil {
			return strconv.FormatBool(on)
		}
	case number:
		if n, err := strconv.Atoi(s); err == nil {
			return strconv.Itoa(n)
		}
	case period:
		if d, err := time.ParseDuration(s); err == nil {
			return periodText(d)
		}
	}
	if m, err := strconv.ParseUint(s, 8, 32); k.name == "mode" && err == nil {
		return fmt.Sprintf("%04o", m)
	}
	return s
}

// periodText writes a time without mixing units: 300s, not 5m0s.
func periodText(d time.Duration) string {
	if d >= time.Second && d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strings.Replace(d.String(), "µ", "u", 1)
}

var errValue = errors.New("no such value")

func between(lo, hi int) func(string) error {
	return func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < lo || n > hi {
			return errValue
		}
		return nil
	}
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return errValue
		}
		return nil
	}
}

// seconds checks a time for whole seconds in a range.
func seconds(lo, hi time.Duration) func(string) error {
	return func(s string) error {
		if d, err := time.ParseDuration(s); err != nil || d < lo*time.Second || d > hi*time.Second || d%time.Second != 0 {
			return errValue
		}
		return nil
	}
}

func checkMode(s string) error {
	if m, err := strconv.ParseUint(s, 8, 32); err != nil || m > 0o777 {
		return errValue
	}
	return nil
}

func checkAgeing(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || vswitch.CheckAgeing(d) != nil {
		return errValue
	}
	return nil
}

func checkSpin(s string) error {
	if d, err := time.ParseDuration(s); err != nil || d < 0 || d > MaxSpin {
		return errValue
	}
	return nil
}

// portKey says how one of portKeys stands in a file.
type portKey struct {
	typ  valueType
	list byte // what joins the elements, if it may be an array; 0: it may not
	want string
}

var portKeyTypes = map[string]portKey{
	"id":          {typ: number, want: fmt.Sprintf("a number from 1 to %d", vswitch.MaxPorts)},
	"name":        {typ: text, want: "up to 64 letters, digits and _ . @ -, not only digits and neither all nor none"},
	"vlan":        {typ: number, want: fmt.Sprintf("a number from %d to %d", frame.MinVID, frame.MaxVID)},
	"native":      {typ: text, want: `"untagged", "tagged" or "none"`},
	"tagged":      {typ: text, list: '+', want: `"all", "none" or VLANs such as [10, "20-29"]`},
	"transparent": {typ: truth, want: "true or false"},
	"isolated":    {typ: truth, want: "true or false"},
	"down":        {typ: truth, want: "true or false"},
	"mtu":         {typ: number, want: fmt.Sprintf("a number from %d to %d", vswitch.MinMTU, frame.MaxMTU)},
	"maclimit":    {typ: number, want: fmt.Sprintf("a number from 0 (none) to %d", vswitch.MaxFDBSize)},
	"allowmac":    {typ: text, list: '+', want: `"any", or up to 8 addresses such as ["52:54:00:12:34:56"]`},
	"edge":        {typ: text, want: `"auto", "on" or "off"`},
	"cost":        {typ: number, want: fmt.Sprintf("a number from 0 (the default) to %d", stp.MaxCost)},
	"priority":    {typ: number, want: "a number from 16 to 240 in steps of 16, or 0 (the default)"},
	"bpduguard":   {typ: truth, want: "true or false"},
	"rootguard":   {typ: truth, want: "true or false"},
	"storm":       {typ: text, list: '+', want: `"off", a number of frames in a second, or such as ["broadcast:1000", "unknown:200"]`},
	"allowuser":   {typ: text, want: `"any" or a user's name or number`},
	"allowgroup":  {typ: text, want: `"any" or a group's name or number`},
	"mirror":      {typ: text, list: '+', want: `"none", "all" or ports such as ["vm1:in", "vm2"]`},
	"impair":      {typ: text, list: '+', want: `"none" or how bad the cable is, such as ["delay:20ms", "in-loss:1%"]`},
}
