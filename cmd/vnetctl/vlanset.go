package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

func (a *app) vlanSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set PORT WORDS...",
		Short: "Say which VLANs a port is in",
		Long: `Say which VLANs a port is in. All words together are one change.

  10, access 10         only VLAN 10, without tags: for a plain VM
  trunk                 every VLAN, with tags
  trunk 10+20-30        these VLANs, with tags
  untagged 10           VLAN of frames without a tag, in and out
  untagged none         no such VLAN: frames without a tag are dropped
  pvid=10               VLAN of frames without a tag; the rest stays
  native=tagged         frames of that VLAN leave with a tag; none: there is no
                        such VLAN; untagged: neither
  tagged=20+30, tagged 20,30, tagged none
                        VLANs that go in and out with a tag
  transparent=on        tags are payload: everything is in the VLAN of untagged
                        frames

Addresses that the switch learned at the port are forgotten when something
changes.`,
		Example: `  vnetctl vlan set vm1 10
  vnetctl vlan set router pvid=10 tagged=20+30
  vnetctl vlan set uplink trunk 1-100 untagged 1
  vnetctl vlan set vm2 trunk 10+20 untagged none`,
		Args: arguments(2, many, "PORT and what it is to be: 10, trunk, pvid=10 tagged=20+30"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completePorts(cmd, args, word)
			}
			return a.completeVLANWord(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := vlanWords(args[1:])
			if err != nil {
				return err
			}
			return cannot(a.setPort(cmd.Context(), args[0], change), "change the VLANs of port %s", args[0])
		},
	}
}

var vlanKeys = []string{"access", "trunk", "pvid", "untagged", "native", "tagged", "transparent"}

// vlanWords turns what vlan set is told into a change.
func vlanWords(words []string) (api.PortChange, error) {
	var ch api.PortChange
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if _, err := frame.ParseVID(word); err == nil {
			words = slices.Insert(words, 0, word)
			word = "access"
		}
		key, value, given := strings.Cut(word, "=")
		if key == "vlan" {
			key = "pvid"
		}
		if !slices.Contains(vlanKeys, key) {
			e := usage("vlan set: %q is not understood", word)
			e.cause, e.cure = "the words are "+strings.Join(vlanKeys, ", ")+" and VLAN numbers", "vnetctl vlan set --help"
			if strings.Trim(word, "0123456789") == "" {
				e.cause = "VLANs have numbers from 1 to 4094"
			} else if near := api.Nearest(key, vlanKeys); near != "" {
				e.cause = fmt.Sprintf("did you mean %q?", near)
			}
			return ch, e
		}
		// A trunk and transparent need no value; one that follows is taken.
		optional := key == "trunk" || key == "transparent"
		if !given && len(words) > 0 && !(optional && isVLANKey(words[0])) {
			value, words, given = words[0], words[1:], true
		}
		if !given && !optional {
			e := usage("vlan set: the value of %q is missing", key)
			e.cause, e.cure = "for example: "+key+" 10", "vnetctl vlan set --help"
			if key == "native" {
				e.cause = "for example: native none"
			}
			return ch, e
		}
		if err := vlanWord(&ch, key, value); err != nil {
			e := usage("vlan set: %s %s: %v", key, value, err)
			e.cure = "vnetctl vlan set --help"
			return ch, e
		}
	}
	return ch, nil
}

func isVLANKey(word string) bool {
	key, _, _ := strings.Cut(word, "=")
	return slices.Contains(vlanKeys, key) || key == "vlan"
}

// vlanWord makes one word part of a change.
func vlanWord(ch *api.PortChange, key, value string) error {
	switch key {
	case "transparent":
		if value == "" {
			value = "on"
		}
		return onOff(&ch.Transparent, value)
	case "trunk":
		if value == "" {
			value = "all"
		}
		off := false
		ch.Transparent = &off
	case "access":
		none, off, bare := "none", false, nativeUntagged
		ch.Tagged, ch.Transparent, ch.Native = &none, &off, &bare
	case "native":
		ch.Native = &value // which the switch checks
		return nil
	case "untagged":
		native := nativeUntagged
		if ch.Native = &native; value == nativeNone {
			native = nativeNone
			return nil
		}
	}
	if key == "trunk" || key == "tagged" {
		set, err := frame.ParseVIDSet(strings.ReplaceAll(value, ",", "+"))
		text := set.String()
		ch.Tagged = &text
		return err
	}
	vid, err := frame.ParseVID(value)
	n := int(vid)
	ch.PVID = &n
	return err
}

// vlanMembers makes the verbs add and del.
func (a *app) vlanMembers(verb string) *cobra.Command {
	var untagged bool
	cmd := &cobra.Command{
		Use:   verb + " VLANS PORT...",
		Short: "Put ports into VLANs, with tags",
		Long: `Put ports into VLANs, besides those that they are in. Their frames of these VLANs
have tags, or none with --untagged. All ports change at once, or none. What is so
already is no error.`,
		Example: `  vnetctl vlan add 20+30 uplink router
  vnetctl vlan add 10 vm1 vm2 --untagged`,
		Args: arguments(2, many, "VLANS and at least one PORT"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completeVLANs(cmd, args, word)
			}
			return a.completePorts(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := parseVLANs(args[0])
			if err == nil {
				err = a.changeMembers(cmd.Context(), args[1:], func(p api.Port) (api.PortChange, error) {
					if verb == "add" {
						return addToVLANs(p, set, untagged)
					}
					return removeFromVLANs(p, set)
				})
			}
			return cannot(err, map[string]string{"add": "put %s into VLAN %s", "del": "take %s out of VLAN %s"}[verb], strings.Join(args[1:], ", "), args[0])
		},
	}
	if verb == "add" {
		cmd.Flags().BoolVar(&untagged, "untagged", false, "make it the VLAN of frames without a tag")
		return cmd
	}
	cmd.Aliases = []string{"delete", "remove", "rm"}
	cmd.Short = "Take ports out of VLANs that they carry with tags"
	cmd.Long = `Take ports out of VLANs that they carry with tags. All ports change at once, or
none. What is so already is no error.

The VLAN of frames without a tag is taken away, or changed, by vnetctl vlan set.`
	cmd.Example = "  vnetctl vlan del 20+30 uplink router"
	return cmd
}

// changeMembers changes several ports as one.
func (a *app) changeMembers(ctx context.Context, refs []string, change func(api.Port) (api.PortChange, error)) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ops := make([]api.Operation, 0, len(refs))
	for _, ref := range refs {
		p, err := c.Port(ctx, ref)
		if err != nil {
			return err
		}
		ch, err := change(p)
		if err != nil {
			return err
		}
		ops = append(ops, api.Operation{SetPort: &api.PortSet{Port: ref, PortChange: ch}})
	}
	results, err := c.Batch(ctx, ops)
	if err != nil {
		return err
	}
	answer := api.Ports{}
	for _, r := range results {
		answer.Ports = append(answer.Ports, *r.Port)
		if !a.json {
			a.describePort(*r.Port)
		}
	}
	if a.json {
		return a.printJSON(answer)
	}
	return nil
}

func addToVLANs(p api.Port, add frame.VIDSet, untagged bool) (ch api.PortChange, err error) {
	tagged, err := taggedOf(p)
	if err != nil {
		return ch, err
	}
	if untagged {
		vid, err := frame.ParseVID(add.String())
		if err != nil {
			return ch, &api.Error{Code: api.ErrInvalid, Message: "frames without a tag can only belong to one VLAN, not to " + add.String(), Hint: "vnetctl vlan add 10 " + p.Name + " --untagged"}
		}
		pvid := int(vid)
		ch.PVID = &pvid
		if bareVLAN(p) == 0 {
			native := nativeUntagged
			ch.Native = &native
		}
		return ch, nil
	}
	for v := frame.MinVID; v <= frame.MaxVID; v++ {
		if add.Has(v) && v != homeVLAN(p) {
			tagged.Add(v)
		}
	}
	text := tagged.String()
	ch.Tagged = &text
	return ch, nil
}

func removeFromVLANs(p api.Port, del frame.VIDSet) (ch api.PortChange, err error) {
	tagged, err := taggedOf(p)
	if err != nil {
		return ch, err
	}
	if home := homeVLAN(p); home != 0 && del.Has(home) {
		return ch, &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf("VLAN %d is where the frames of port %s without a tag belong", home, p.Name), Hint: "vnetctl vlan set " + p.Name + " pvid=N gives it another one, native=none drops such frames"}
	}
	for w := range del {
		tagged[w] &^= del[w]
	}
	text := tagged.String()
	ch.Tagged = &text
	return ch, nil
}

func taggedOf(p api.Port) (frame.VIDSet, error) {
	if p.Transparent {
		return frame.VIDSet{}, &api.Error{Code: api.ErrInvalid, Message: "port " + p.Name + " is transparent: tags are payload there", Hint: "vnetctl vlan set " + p.Name + " transparent=off"}
	}
	return frame.ParseVIDSet(p.Tagged)
}
