package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// twoSwitches are linked with each other, and have all kinds of ports.
func twoSwitches() graph {
	rate := &client.Rate{RxFrames: 12345, RxBits: 8e6, TxFrames: 3, TxBits: 1500}
	port := func(id int, name string, peer *api.Peer, tune func(*graphPort)) graphPort {
		p := graphPort{Port: api.Port{ID: id, Name: name, Kind: "stream", State: api.StateUp, Peer: peer, PVID: 1, Tagged: "all", Mirror: "none"}}
		if tune != nil {
			tune(&p)
		}
		return p
	}
	g := graph{Switches: []graphSwitch{
		{Dir: "/run/vswitch/a", Info: api.Info{Name: "a", PID: 10, FDB: api.FDBSize{Entries: 3}}, Ports: []graphPort{
			port(1, "vm1", &api.Peer{PID: 77, Command: "qemu-system-x86"}, func(p *graphPort) { p.PVID, p.Tagged, p.Rate = 10, "none", rate }),
			port(2, "to-b", &api.Peer{PID: 20}, func(p *graphPort) { p.STP = &api.PortTree{Role: "root", State: "forwarding"} }),
			port(3, "sniffer", &api.Peer{PID: 78, Command: `<"x">&\`}, func(p *graphPort) { p.Mirror = "all:both" }),
			port(4, "gone", nil, func(p *graphPort) { p.State, p.Reason = api.StateWaiting, "closed by the other side" }),
			port(12, "tap0", &api.Peer{UID: -1, Address: "192.0.2.1:40000"}, func(p *graphPort) { p.Transparent, p.Rate = true, &client.Rate{Drops: 5} }),
			port(13, "to-b2", &api.Peer{PID: 20}, func(p *graphPort) { p.STP = &api.PortTree{Role: "alternate", State: "discarding", Blocked: 1} }),
		}},
		{Dir: "/run/vswitch/b", Info: api.Info{Name: "b", PID: 20}, Ports: []graphPort{
			port(1, "from-a", &api.Peer{PID: 10}, func(p *graphPort) { p.Tagged = "10+20" }), port(2, "from-a2", &api.Peer{PID: 10}, nil),
		}},
		{Dir: "/tmp/empty", Info: api.Info{Name: "empty", PID: 30}},
	}}
	g.connect()
	return g
}

// The three pictures of the same net.
func TestGraphPictures(t *testing.T) {
	var b bytes.Buffer
	g := twoSwitches()
	for _, draw := range []func(io.Writer) error{
		func(w io.Writer) error { return g.text(w, true) }, func(w io.Writer) error { return g.text(w, false) }, g.dot, g.svg,
	} {
		if err := draw(&b); err != nil {
			t.Fatal(err)
		}
		b.WriteString("====\n")
	}
	compare(t, "graph", b.String())
}

// Ports that lead to another switch are found, in pairs; what is ambiguous is
// not guessed.
func TestGraphConnects(t *testing.T) {
	g := twoSwitches()
	for i, want := range []string{"", "b from-a", "", "", "", "b from-a2"} {
		got := ""
		if far := g.Switches[0].Ports[i].Far; far != nil {
			got = far.Name + " " + far.Port
		}
		if got != want {
			t.Errorf("port %d leads to %q, want %q", i, got, want)
		}
	}
	if far := g.Switches[1].Ports[1].Far; far == nil || far.Port != "to-b2" {
		t.Errorf("back: %+v", far)
	}
	g = twoSwitches()
	for i := range g.Switches {
		g.Switches[i].Info.PID = 10
		for j := range g.Switches[i].Ports {
			g.Switches[i].Ports[j].Far = nil
		}
	}
	g.connect()
	for _, s := range g.Switches {
		for _, p := range s.Ports {
			if p.Far != nil {
				t.Errorf("%s %s leads to %+v", s.Dir, p.Name, p.Far)
			}
		}
	}
}

// Graphviz and XML readers take what is drawn, whatever peers call themselves.
func TestGraphIsWellFormed(t *testing.T) {
	g := twoSwitches()
	var svg, dot bytes.Buffer
	if err := g.svg(&svg); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(&svg)
	for texts := 0; ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if texts < 30 {
				t.Errorf("only %d texts", texts)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if el, ok := tok.(xml.StartElement); ok && el.Name.Local == "text" {
			texts++
		}
	}
	if err := g.dot(&dot); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("Graphviz is not installed; the DOT text is compared with its golden file only")
	}
	cmd := exec.Command(program, "-Tplain")
	cmd.Stdin = &dot
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "\nedge ") != 6 { // a line for each port of a, two of them to b
		t.Errorf("%v: %s", err, out)
	}
}

// On a real switch, with the rates of a real interval.
func TestGraphVerb(t *testing.T) {
	s := busySwitch(t)
	t.Setenv("LC_ALL", "C")
	vnetctl(t, s, "vlan", "set", "port2", "10")
	out, stderr, code := vnetctl(t, s, "graph", "--interval", "1ms")
	want := "[lab]  DIR  pid PID  2 of 2 ports up  1 addresses\n|\n" +
		"|-  1  port1  ---  vnetctl.test[PID]  vlan 1, tagged all  in 0/s 0bit/s, out 0/s 0bit/s\n" +
		"`-  2  port2  ---  vnetctl.test[PID]  vlan 10  in 0/s 0bit/s, out 0/s 0bit/s\n"
	if got := normalise(out, s.Dir); code != 0 || got != want {
		t.Errorf("exit %d: %s\n%s\nwant\n%s", code, stderr, got, want)
	}
	t.Setenv("LC_ALL", "C.UTF-8")
	if out, _, _ := vnetctl(t, s, "graph", "--interval", "0"); !strings.Contains(out, "└─  2  port2  ───") || strings.Contains(out, "bit/s") {
		t.Errorf("%s", out)
	}
	for format, want := range map[string]string{"dot": "graph vnetctl {", "svg": "<svg "} {
		if out, stderr, code := vnetctl(t, s, "graph", "--format", format); code != 0 || !strings.HasPrefix(out, want) || !strings.Contains(out, "port2") {
			t.Errorf("%s: exit %d: %s %s", format, code, stderr, out)
		}
	}
	for args, want := range map[string]string{"--format sgv": `did you mean "svg"?`, "--format pdf": "the formats are dot, svg, text", "--interval -1s": "before now"} {
		if _, stderr, code := vnetctl(t, s, append([]string{"graph"}, strings.Fields(args)...)...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
	// Without -s all are drawn.
	out, _, code = vnetctl(t, nil, "graph", "--interval", "0")
	if code != 0 || !regexp.MustCompile(`(?m)^\[lab\]  `+regexp.QuoteMeta(filepath.Clean(s.Dir))+` `).MatchString(out) {
		t.Errorf("exit %d: %s", code, out)
	}
	s.Stop()
	if _, stderr, code := vnetctl(t, s, "graph"); code != 4 || !strings.Contains(stderr, "cannot draw switches") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
