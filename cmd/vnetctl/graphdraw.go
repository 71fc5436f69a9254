package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"vnetkit/mgmt/api"
)

// text draws with letters.
func (g *graph) text(w io.Writer, unicode bool) error {
	stem, branch, last, line, broken := "│", "├─", "└─", "───", "╌╌╌"
	if !unicode {
		stem, branch, last, line, broken = "|", "|-", "`-", "---", "- -"
	}
	var b strings.Builder
	for i, s := range g.Switches {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]  %s\n", printable(s.Info.Name), printable(s.title()))
		t := &table{columns: []column{{}, {right: true}, {}, {}, {}, {}, {}}}
		for j, p := range s.Ports {
			twig, link := branch, line
			if j == len(s.Ports)-1 {
				twig = last
			}
			if p.broken() {
				link = broken
			}
			t.add(twig, fmt.Sprint(p.ID), p.Name, link, p.far(), p.membership(), p.rates())
		}
		if len(s.Ports) > 0 {
			b.WriteString(stem + "\n")
		}
		t.print(&b, false, false)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// dot writes for Graphviz. Switches and peers are nodes, ports are edges.
func (g *graph) dot(w io.Writer) error {
	var b strings.Builder
	b.WriteString("graph vnetctl {\n  rankdir=LR;\n  node [shape=box, fontname=\"Helvetica\"];\n  edge [fontname=\"Helvetica\", fontsize=10];\n")
	for _, s := range g.Switches {
		fmt.Fprintf(&b, "  %s [label=%s, style=\"rounded,filled\", fillcolor=\"#dce8f5\"];\n", dotQuote("switch "+s.Dir), dotQuote(s.Info.Name+"\n"+s.Dir))
	}
	drawn := map[string]bool{}
	for _, s := range g.Switches {
		for _, p := range s.Ports {
			to := "port " + s.Dir + " " + p.Name
			label := p.Name + " (" + fmt.Sprint(p.ID) + ")\n" + p.membership()
			attr := ""
			if p.Far != nil {
				// Both ends have a port; the line is drawn once.
				if drawn[p.Far.Dir+" "+p.Far.Port] {
					continue
				}
				drawn[s.Dir+" "+p.Name] = true
				to, label = "switch "+p.Far.Dir, label+"\nto port "+p.Far.Port
			} else {
				fmt.Fprintf(&b, "  %s [label=%s];\n", dotQuote(to), dotQuote(p.far()))
			}
			if r := p.rates(); r != "" {
				label += "\n" + strings.ReplaceAll(r, ", ", "\n")
			}
			if p.State != api.StateUp {
				attr = ", style=dashed, color=gray"
			} else if p.broken() {
				attr = ", style=dashed, color=red"
			}
			fmt.Fprintf(&b, "  %s -- %s [label=%s%s];\n", dotQuote("switch "+s.Dir), dotQuote(to), dotQuote(label), attr)
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// dotQuote makes a string of DOT, where only quotes, backslashes and line ends
// mean something.
func dotQuote(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(lines[i]))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// Sizes of the picture, in pixels. Letters of the chosen size are at most
// letter wide.
const (
	letter   = 7.3
	rowHigh  = 46
	margin   = 20
	gap      = 30 // between switches
	headHigh = 52
)

// palette colours lines by VLAN, so that who can talk to whom is seen.
var palette = []string{"#1f77b4", "#d9730d", "#2c8a2c", "#c23b3b", "#7b56b0", "#8c564b", "#c04f9c", "#5f6b6d", "#8a8b1e", "#1598a8"}

// svg draws a picture: each switch is a panel, its ports are sockets at the
// panel's side, and a line in the colour of the port's VLAN goes from each to a
// box for who is plugged in. A busier line is thicker.
func (g *graph) svg(w io.Writer) error {
	panel, line, box := g.widths()
	width := 2*margin + panel + line + box
	var b strings.Builder
	y := float64(margin)
	for i := range g.Switches {
		s := &g.Switches[i]
		high := headHigh + rowHigh*float64(max(1, len(s.Ports)))
		fmt.Fprintf(&b, `<rect x="%d" y="%.0f" width="%.0f" height="%.0f" rx="10" fill="#eaf1f9" stroke="#4a6a8a"/>`+"\n", margin, y, panel, high)
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" font-size="16" font-weight="bold">%s</text>`+"\n", margin+12, y+22, svgText(s.Info.Name))
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" fill="#445">%s</text>`+"\n", margin+12, y+40, svgText(s.title()))
		for j := range s.Ports {
			s.Ports[j].svg(&b, margin+panel, y+headHigh+rowHigh*(float64(j)+0.5), line, box)
		}
		y += high + gap
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" font-family="monospace" font-size="12">`+
		"\n<title>%s</title>\n"+`<rect width="100%%" height="100%%" fill="white"/>`+"\n%s</svg>\n",
		width, y-gap+margin, width, y-gap+margin, svgText(fmt.Sprintf("%d switches", len(g.Switches))), b.String())
	return err
}

// widths finds room for the longest texts: in the panels, above the lines and
// in the boxes.
func (g *graph) widths() (panel, line, box float64) {
	widest := func(at *float64, text string) { *at = max(*at, letter*float64(columnsOf(text))) }
	for _, s := range g.Switches {
		widest(&panel, s.title())
		for _, p := range s.Ports {
			widest(&panel, "9999"+p.Name)
			widest(&line, p.membership())
			widest(&line, p.rates())
			widest(&box, p.far())
		}
	}
	return panel + 24, line + 40, box + 24
}

// svg draws a port whose socket is at x, y.
func (p *graphPort) svg(b *strings.Builder, x, y, line, box float64) {
	colour, dash, thick := palette[p.PVID%len(palette)], "", 1.5
	if p.State != api.StateUp {
		colour, dash = "#999", ` stroke-dasharray="5 4"`
	} else if p.broken() {
		dash = ` stroke-dasharray="2 6"`
	}
	if p.Rate != nil {
		for n := p.Rate.RxFrames + p.Rate.TxFrames; n >= 10 && thick < 7; n /= 10 {
			thick++
		}
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="end">%s</text>`+"\n", x-14, y+4, svgText(fmt.Sprintf("%s  %d", p.Name, p.ID)))
	fmt.Fprintf(b, `<line x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f" stroke="%s" stroke-width="%.1f"%s/>`+"\n", x+5, y, x+line, y, colour, thick, dash)
	fmt.Fprintf(b, `<rect x="%.0f" y="%.0f" width="12" height="12" fill="%s"/>`+"\n", x-7, y-6, colour)
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-size="11">%s</text>`+"\n", x+16, y-6, svgText(p.membership()))
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-size="11" fill="#445">%s</text>`+"\n", x+16, y+15, svgText(p.rates()))
	fmt.Fprintf(b, `<rect x="%.0f" y="%.0f" width="%.0f" height="30" rx="5" fill="#f7f7f2" stroke="%s"%s/>`+"\n", x+line, y-15, box, colour, dash)
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f">%s</text>`+"\n", x+line+12, y+4, svgText(p.far()))
}

// svgText is s as the text of an element.
func svgText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(printable(s))) // a Builder takes everything
	return b.String()
}
