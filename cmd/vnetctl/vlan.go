package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/switch/frame"
)

func (a *app) vlanCommand() *cobra.Command {
	cmd := a.vlanShow()
	cmd.Use, cmd.Args = "vlan", a.verb
	cmd.Short = "Show and change which ports are in which VLANs"
	cmd.AddCommand(a.vlanShow(), a.vlanSet(), a.vlanMembers("add"), a.vlanMembers("del"))
	return cmd
}

func (a *app) vlanShow() *cobra.Command {
	return a.outputs(&cobra.Command{
		Use:   "show [VLAN...]",
		Short: "List VLANs with their untagged and tagged members",
		Long: `List VLANs with their members: the ports whose frames without a tag belong to the
VLAN, and those that carry it with a tag, among them those whose native VLAN is
tagged. Neighbouring VLANs with the same members share a line; "others" are all
that no port names.

A transparent port is in one VLAN only, with whatever tags its frames have. A
port that shows mirrored frames is in none.`,
		Example: `  vnetctl vlan show
  vnetctl vlan show 10 20
  vnetctl vlan show --json | jq -r '.vlans[] | select(.untagged == []) | .vlans'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeVLANs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.showVLANs(cmd.Context(), args), "list VLANs")
		},
	})
}

// vlanRow is some VLANs that have the same members.
type vlanRow struct {
	VLANs    string   `json:"vlans"`    // a set, such as "10" or "20-30+40"
	Others   bool     `json:"others"`   // those that no port names; all are in ports that carry every VLAN
	Untagged []string `json:"untagged"` // ports whose frames without a tag belong here
	Tagged   []string `json:"tagged"`   // ports that carry it with a tag

	set frame.VIDSet
}

// vlanList is what vlan show --json prints.
type vlanList struct {
	VLANs []vlanRow `json:"vlans"`
}

func (a *app) showVLANs(ctx context.Context, only []string) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ports, err := c.Ports(ctx)
	if err != nil {
		return err
	}
	rows, err := vlanRows(ports)
	if err != nil {
		return err
	}
	if len(only) > 0 {
		wanted, err := parseVLANs(strings.Join(only, "+"))
		if err != nil {
			return err
		}
		rows = selectVLANs(rows, wanted)
	}
	if a.json {
		return a.printJSON(vlanList{rows})
	}
	t := &table{columns: []column{{head: "VLAN"}, {head: "UNTAGGED"}, {head: "TAGGED"}, {head: "MACS", right: true, wide: true}}}
	macs := map[frame.VID]int{}
	if a.form == formWide {
		entries, err := c.FDB(ctx, client.FDBFilter{})
		if err != nil {
			return err
		}
		for _, e := range entries {
			macs[frame.VID(e.VLAN)]++
		}
	}
	for _, r := range rows {
		name, n := r.VLANs, 0
		for vid, k := range macs {
			if r.set.Has(vid) {
				n += k
			}
		}
		if r.Others {
			name = "others"
		}
		t.add(name, strings.Join(r.Untagged, " "), strings.Join(r.Tagged, " "), strconv.Itoa(n))
		t.names = append(t.names, name)
	}
	a.table(t)
	return nil
}

// vlanRows works out who is in which VLAN, by the rules of the data path.
func vlanRows(ports []api.Port) ([]vlanRow, error) {
	var (
		rows   []vlanRow
		others = vlanRow{Others: true, Untagged: []string{}, Tagged: []string{}}
		sets   = make([]frame.VIDSet, len(ports))
		named  frame.VIDSet
	)
	for i, p := range ports {
		if showsMirror(p) {
			continue
		}
		if home := homeVLAN(p); home != 0 {
			named.Add(home)
		}
		if p.Transparent {
			continue
		}
		var err error
		if sets[i], err = frame.ParseVIDSet(p.Tagged); err != nil {
			return nil, fmt.Errorf("port %s: %w", p.Name, err)
		}
		if p.Tagged == "all" {
			others.Tagged = append(others.Tagged, p.Name)
			continue
		}
		for w := range named {
			named[w] |= sets[i][w]
		}
	}
	for v := frame.MinVID; v <= frame.MaxVID; v++ {
		if !named.Has(v) {
			others.set.Add(v)
			continue
		}
		r := vlanRow{Untagged: []string{}, Tagged: []string{}}
		r.set.Add(v)
		for i, p := range ports {
			switch {
			case showsMirror(p):
			case bareVLAN(p) == v:
				r.Untagged = append(r.Untagged, p.Name)
			case homeVLAN(p) == v || sets[i].Has(v):
				r.Tagged = append(r.Tagged, p.Name)
			}
		}
		if n := len(rows); n > 0 && rows[n-1].set.Has(v-1) && slices.Equal(rows[n-1].Untagged, r.Untagged) && slices.Equal(rows[n-1].Tagged, r.Tagged) {
			rows[n-1].set.Add(v)
			continue
		}
		rows = append(rows, r)
	}
	if len(others.Tagged) > 0 && !others.set.Empty() {
		rows = append(rows, others)
	}
	for i := range rows {
		rows[i].VLANs = rows[i].set.String()
	}
	if rows == nil {
		rows = []vlanRow{}
	}
	return rows, nil
}

func showsMirror(p api.Port) bool { return p.Mirror != "none" && p.Mirror != "" }

// selectVLANs keeps of rows what is wanted. Each that is named gets a line,
// also if nobody is in it.
func selectVLANs(rows []vlanRow, wanted frame.VIDSet) []vlanRow {
	kept := []vlanRow{}
	for _, r := range rows {
		for w := range wanted {
			r.set[w] &= wanted[w]
		}
		if r.set.Empty() {
			continue
		}
		for w := range wanted {
			wanted[w] &^= r.set[w]
		}
		r.VLANs, r.Others = r.set.String(), false
		kept = append(kept, r)
	}
	if !wanted.Empty() {
		kept = append(kept, vlanRow{VLANs: wanted.String(), Untagged: []string{}, Tagged: []string{}, set: wanted})
	}
	return kept
}

// parseVLANs reads a set of VLANs as people write it: commas do too.
func parseVLANs(text string) (frame.VIDSet, error) {
	set, err := frame.ParseVIDSet(strings.ReplaceAll(text, ",", "+"))
	if err != nil {
		return set, &api.Error{Code: api.ErrInvalid, Message: err.Error(), Hint: "write numbers and ranges as in 10+20-30; vnetctl vlan show lists what there is"}
	}
	return set, nil
}
