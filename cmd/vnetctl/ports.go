package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
)

func (a *app) portsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ports [PORT...]",
		Short: "List ports: who is plugged in, VLANs, counters",
		Long: `List ports by number, or those that are named.

VLANS is the VLAN of untagged frames, then those that the port carries tagged:
"1,t:all" is a trunk of everything, "10" an access port of VLAN 10, and
"1,transparent" a port where tags are payload. "none,t:10+20" has no VLAN for
untagged frames, and drops them; "10:tagged,t:20" has one, and sends its frames
with a tag.

States: up carries frames; down was set down; waiting has no link yet, or no
longer (-o wide says why).

OFFLOAD of -o wide is what was done on frames that went out: super-frames cut to
segments, checksums completed, segments merged into the frame before them.`,
		Example: `  vnetctl ports
  vnetctl ports vm1 vm2 -o wide
  vnetctl ports --json | jq -r '.ports[] | select(.state != "up") | .name'`,
		ValidArgsFunction: a.completePorts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.ports(cmd, args), "list ports")
		},
	}
	return a.outputs(cmd)
}

func (a *app) ports(cmd *cobra.Command, refs []string) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	var ports []api.Port
	if len(refs) == 0 {
		ports, err = c.Ports(cmd.Context())
	}
	for _, ref := range refs {
		var p api.Port
		if p, err = c.Port(cmd.Context(), ref); err != nil {
			break
		}
		ports = append(ports, p)
	}
	switch {
	case err != nil:
		return err
	case a.json:
		return a.printJSON(api.Ports{Ports: ports})
	}
	a.table(portTable(ports, a.form == formWide))
	return nil
}

func portTable(ports []api.Port, wide bool) *table {
	t := &table{columns: []column{
		{head: "ID", right: true}, {head: "NAME"}, {head: "KIND"}, {head: "STATE", paint: paintState}, {head: "PEER"}, {head: "VLANS"},
		{head: "RX", right: true}, {head: "RX-BYTES", right: true}, {head: "TX", right: true}, {head: "TX-BYTES", right: true}, {head: "DROPS", right: true},
	}}
	if wide {
		t.columns = append(t.columns, column{head: "SINCE"}, column{head: "USER"}, column{head: "MACS", right: true}, column{head: "QUEUE", right: true},
			column{head: "MTU", right: true}, column{head: "STP"}, column{head: "FLAGS"}, column{head: "OFFLOAD"}, column{head: "SPEC"}, column{head: "NOTE"})
	}
	for _, p := range ports {
		row := []string{
			strconv.Itoa(p.ID), p.Name, p.Kind, p.State, peerText(p), vlans(p),
			humanUint(p.Rx.Frames), humanUint(p.Rx.Bytes), humanUint(p.Tx.Frames), humanUint(p.Tx.Bytes), humanUint(sum(p.Drops)),
		}
		if wide {
			user := ""
			if p.Peer != nil {
				user = p.Peer.User
			}
			row = append(row, age(time.Since(p.Since)), user, strconv.Itoa(p.MACs), strconv.Itoa(p.Queue),
				strconv.Itoa(p.MTU), stpText(p.STP), flags(p), offloadText(p.Offload), p.Spec, note(p))
		}
		t.add(row...)
		t.names = append(t.names, p.Name)
	}
	return t
}

// peerText names who is plugged in: a process, an address, or nobody.
func peerText(p api.Port) string {
	switch {
	case p.Peer == nil:
		return ""
	case p.Peer.PID > 0 && p.Peer.Command != "":
		return fmt.Sprintf("%s[%d]", p.Peer.Command, p.Peer.PID)
	case p.Peer.PID > 0:
		return fmt.Sprintf("pid %d", p.Peer.PID)
	}
	return cmp.Or(p.Peer.Address, p.Peer.User)
}

func vlans(p api.Port) string {
	switch {
	case p.Transparent:
		return fmt.Sprintf("%d,transparent", p.PVID)
	case p.Tagged == "none" || p.Tagged == "":
		return nativeText(p)
	}
	return nativeText(p) + ",t:" + p.Tagged
}

// flags are the settings that few ports have.
func flags(p api.Port) string {
	text := ""
	add := func(on bool, flag string) {
		if on {
			text += "," + flag
		}
	}
	add(p.Isolated, "isolated")
	add(p.MACLimit > 0, "maclimit="+strconv.Itoa(p.MACLimit))
	add(p.AllowMAC != "any" && p.AllowMAC != "", "allowmac="+p.AllowMAC)
	add(p.Mirror != "none" && p.Mirror != "", "mirror="+p.Mirror)
	add(p.Edge == "on" || p.Edge == "off", "edge="+p.Edge)
	add(p.STPCost > 0, "cost="+strconv.Itoa(p.STPCost))
	add(p.STPPriority > 0, "priority="+strconv.Itoa(p.STPPriority))
	add(p.BPDUGuard, "bpduguard")
	add(p.RootGuard, "rootguard")
	add(p.Storm != "off" && p.Storm != "", "storm="+p.Storm)
	add(p.Impair != "none" && p.Impair != "", "impair="+p.Impair)
	if text == "" {
		return ""
	}
	return text[1:]
}

// note is what is the matter with a port.
func note(p api.Port) string {
	if p.State != api.StateUp && p.Reason != "" {
		return p.Reason
	}
	if p.Loop != "" {
		return "LOOP with " + p.Loop
	}
	return drops(p.Drops)
}

func sum(by map[string]uint64) (n uint64) {
	for _, v := range by {
		n += v
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
