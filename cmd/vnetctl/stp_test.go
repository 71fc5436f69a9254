package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"vnetkit/mgmt/api"
)

func TestSTP(t *testing.T) {
	s := busySwitch(t)
	for _, c := range []struct {
		args string
		code int
		want []string // in the output, blanks squeezed
	}{
		{"stp", 0, []string{"spanning tree: off\n"}},
		{"port set port1 edge=on bpduguard=on rootguard=on cost=5 priority=16 storm=broadcast:100", 0,
			[]string{"edge=on,cost=5,priority=16,bpduguard,rootguard,storm=broadcast:100"}},
		{"port set port2 edge=on", 0, []string{"edge=on"}},
		{"stp set mode=rstp priority=4096 mac=02:00:00:00:00:99 hello=1 max-age=6 forward-delay=4", 0,
			[]string{"spanning tree: rstp, priority 4096, hello 1 s, max-age 6 s, forward-delay 4 s\n"}},
		{"stp show", 0, []string{
			"all VLANs: this switch is the root (id 1000.020000000099), 0 topology changes",
			"all port1 designated forwarding 5 yes rstp 1000.020000000099/1001",
			"all port2 designated forwarding 20000 yes rstp 1000.020000000099/8002",
		}},
		{"ports -o wide", 0, []string{"designated/forwarding"}},
		{"info", 0, []string{"stp rstp, priority 4096"}},
		{"trace port1 0180c2000000020000000001000742420300000080", 0, []string{"taken by the switch's spanning tree"}},
		{"stp set mode=fstp", 0, []string{"spanning tree: fstp"}},
		{"stp", 0, []string{"VLAN 1: this switch is the root"}},
		{"stp set mode=pvst", 1, []string{"want off, rstp or fstp"}},
		{"stp set hello=9", 1, []string{"want at least 20"}},
		{"stp set mac=x", 1, []string{"parse MAC address"}},
		{"stp set priority=70000", 1, []string{"want 0 to 65535"}},
		{"stp set prio=1", 2, []string{`"prio=1" is not a setting`, "forward-delay, hello, mac, max-age, mode, priority"}},
		{"stp set hello=soon", 2, []string{"is not a number"}},
		{"port set port1 edge=maybe", 1, []string{"want auto, on or off"}},
		{"port set port1 storm=many", 1, []string{"write off, a number, or kinds"}},
		{"port set port1 priority=17", 1, []string{"in steps of 16"}},
		{"stp set mode=off", 0, []string{"spanning tree: off"}},
	} {
		out, stderr, code := vnetctl(t, s, strings.Fields(c.args)...)
		text := regexp.MustCompile(` +`).ReplaceAllString(out+stderr, " ")
		if code != c.code {
			t.Errorf("%s: exit %d: %s", c.args, code, text)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", c.args, want, text)
			}
		}
	}
	var p api.Port
	out, _, _ := vnetctl(t, s, "ports", "port1", "--json")
	var list api.Ports
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Ports) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	if p = list.Ports[0]; p.Edge != "on" || p.STPCost != 5 || p.STPPriority != 16 || !p.BPDUGuard || !p.RootGuard || p.Storm != "broadcast:100" || p.STP != nil {
		t.Errorf("%+v", p)
	}
}
