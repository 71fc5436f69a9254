package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
	"vnetkit/mgmt/loopback"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/mgmt/web"
	vswitch "vnetkit/switch"
)

// put notes what a port's counters say.
func put(m map[figure]string, port string, rx, tx api.Count, drops map[string]uint64) {
	for what, n := range map[string]uint64{"rx.frames": rx.Frames, "rx.bytes": rx.Bytes, "tx.frames": tx.Frames, "tx.bytes": tx.Bytes} {
		m[figure{port, what}] = plain(n)
	}
	for _, r := range vswitch.DropReasons() { // those that are not there are 0
		m[figure{port, "drops." + r.String()}] = plain(drops[r.String()])
	}
	for reason, n := range drops {
		m[figure{port, "drops." + reason}] = plain(n)
	}
}

func ofPorts(list []api.Port) map[figure]string {
	m := map[figure]string{}
	for _, p := range list {
		put(m, strconv.Itoa(p.ID), p.Rx, p.Tx, p.Drops)
	}
	return m
}

func ofStats(st api.Stats) map[figure]string {
	m := map[figure]string{}
	for _, p := range st.Ports {
		put(m, strconv.Itoa(p.ID), p.Rx, p.Tx, p.Drops)
	}
	put(m, "total", st.Totals.Rx, st.Totals.Tx, st.Totals.Drops)
	return m
}

func apiPorts(c *crowd) map[figure]string {
	list, err := c.client.Ports(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return ofPorts(list)
}

func apiStats(c *crowd) map[figure]string {
	st, err := c.client.Stats(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return ofStats(st)
}

// says is what vnetctl prints.
func (c *crowd) says(args ...string) string {
	c.t.Helper()
	out, text, code := vnetctl(c.t, c.Switch, args...)
	if code != 0 {
		c.t.Fatalf("vnetctl %v: exit %d: %s", args, code, text)
	}
	return out
}

func fromJSON[T any](c *crowd, text string) (v T) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		c.t.Fatal(err)
	}
	return v
}

func jsonPorts(c *crowd) map[figure]string {
	return ofPorts(fromJSON[api.Ports](c, c.says("ports", "--json")).Ports)
}

func jsonStats(c *crowd) map[figure]string {
	return ofStats(fromJSON[api.Stats](c, c.says("stats", "--interval", "0", "--json")))
}

// tableOf reads the rows of ports in a table, by their headings.
func tableOf(args ...string) func(c *crowd) map[figure]string {
	what := map[string]string{"RX": "rx.frames", "RX-BYTES": "rx.bytes", "TX": "tx.frames", "TX-BYTES": "tx.bytes", "DROPS": "drops"}
	return func(c *crowd) map[figure]string {
		m := map[figure]string{}
		lines := strings.Split(c.says(args...), "\n")
		heads := strings.Fields(lines[0])
		for _, line := range lines[1:] {
			cells := strings.Fields(line)
			if len(cells) != len(heads) {
				continue // the total, the reasons
			}
			for i, head := range heads {
				if w := what[head]; w != "" {
					m[figure{cells[0], w}] = cells[i]
				}
			}
		}
		return m
	}
}

func reasonTable(c *crowd) map[figure]string {
	_, reasons, _ := strings.Cut(c.says("stats", "--interval", "0"), "\n\n")
	return found(reasons, `(?m)^ *(\d+)  ([a-z-]+)  `, 2, 1)
}

// found reads drops by reason.
func found(text, expr string, reason, n int) map[figure]string {
	m := map[figure]string{}
	for _, f := range regexp.MustCompile(expr).FindAllStringSubmatch(text, -1) {
		m[figure{"total", "drops." + f[reason]}] = f[n]
	}
	return m
}

func prometheus(c *crowd) map[figure]string {
	way := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(c.Dir, api.SocketName))
	}}}
	m := map[figure]string{}
	text := fetch(c, way, "http://switch/metrics")
	for _, f := range regexp.MustCompile(`(?m)^vswitch_port_(rx|tx)_(frames|bytes)_total\{id="(\d+)".*\} (\S+)$`).FindAllStringSubmatch(text, -1) {
		m[figure{f[3], f[1] + "." + f[2]}] = exact(c, f[4])
	}
	for _, f := range regexp.MustCompile(`(?m)^vswitch_port_drops_total\{id="(\d+)",.*reason="(.*)"\} (\S+)$`).FindAllStringSubmatch(text, -1) {
		m[figure{f[1], "drops." + f[2]}] = exact(c, f[3])
	}
	return m
}

// exact undoes Prometheus's 1.2e+07.
func exact(c *crowd, text string) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != float64(uint64(v)) {
		c.t.Fatalf("sample %s: %v", text, err)
	}
	return plain(uint64(v))
}

func fetch(c *crowd, way *http.Client, url string) string {
	c.t.Helper()
	resp, err := way.Get(url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return string(b)
}

// page is the web page as one without JavaScript sees it.
func (c *crowd) page() string {
	c.t.Helper()
	site, err := web.New(c.Server, web.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.t.Context())
	done := make(chan error, 1)
	go func() { done <- site.Serve(ctx, ln, loopback.Limits{}) }()
	defer func() { stop(); <-done }()
	return fetch(c, &http.Client{Timeout: mgmttest.Patience, Transport: &http.Transport{DisableKeepAlives: true}}, site.URL(ln.Addr()))
}

func webPage(c *crowd) map[figure]string {
	m := map[figure]string{}
	row := regexp.MustCompile(`<span class="id">(\d+)</span>.*<td class="n">(\S+) <small>.*<td class="n">(\S+) <small>.*?</td><td class="n">(\S+)</td><td class="n">\d+</td><td`)
	for _, f := range row.FindAllStringSubmatch(c.page(), -1) {
		m[figure{f[1], "rx.frames"}], m[figure{f[1], "tx.frames"}], m[figure{f[1], "drops"}] = f[2], f[3], f[4]
	}
	return m
}

func webReasons(c *crowd) map[figure]string {
	return found(c.page(), `<th scope="row">([a-z-]+)<p>.*?</th><td class="n">(\S+)</td>`, 1, 2)
}

// ofCapture counts the frames in the capture by port, direction and reason.
func ofCapture(c *crowd) map[figure]string {
	n := map[figure]uint64{}
	for k := range c.truth() { // what is not there is 0
		if strings.HasPrefix(k.what, "captured.") && k.port != "total" {
			n[k] = 0
		}
	}
	file, ports := readFile(c.t, c.file), []string{}
	for r := capture.NewBlockReader(bytes.NewReader(file)); ; {
		b, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.t.Error(err)
			}
			break
		}
		body := b.Raw[8 : len(b.Raw)-4]
		switch b.Type {
		case capture.TypeInterface:
			ports = append(ports, strings.TrimPrefix(string(blockOption(body[8:], 3)), "port "))
		case capture.TypePacket:
			port, data := ports[binary.LittleEndian.Uint32(body)], binary.LittleEndian.Uint32(body[12:])
			options := body[20+(data+3)&^3:]
			in := blockOption(options, 2)[0] == 1
			reason, dropped := strings.CutPrefix(string(blockOption(options, 1)), "dropped: ")
			if reason, _, _ = strings.Cut(reason, " "); dropped {
				n[figure{port, "captured." + reason}]++
			}
			switch {
			case in:
				n[figure{port, "captured.in"}]++
			case !dropped:
				n[figure{port, "captured.out"}]++
			}
		}
	}
	m := map[figure]string{}
	for k, v := range n {
		m[k] = plain(v)
	}
	return m
}

// blockOption is the value of a block's option.
func blockOption(options []byte, code uint16) []byte {
	for len(options) >= 4 {
		n := binary.LittleEndian.Uint16(options[2:])
		if binary.LittleEndian.Uint16(options) == code {
			return options[4 : 4+n]
		}
		options = options[4+(n+3)&^3:]
	}
	return make([]byte, 1)
}
