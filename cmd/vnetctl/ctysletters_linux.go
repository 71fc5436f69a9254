package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// ctysLetters makes each of ctys-vnetctl's actions bear all of its letters:
// scripts give them all the same. What says nothing to an action is without
// effect. -u chooses the switch of a user, as the default directory does.
func (a *app) ctysLetters(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if !slices.Contains(ctysActions, cmd.Name()) {
			continue
		}
		flags := cmd.Flags()
		user := ""
		if flags.ShorthandLookup("u") == nil {
			flags.StringVarP(&user, "user", "u", "", "the switch of `USER`, if -s does not say which")
			all := cmd.Name() == "list" || cmd.Name() == "listall" // of every user
			flags.Lookup("user").Hidden = all
			cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
				if user == "" || a.where != "" || all {
					return nil
				}
				who, err := lookupAccount(user)
				if err != nil {
					return cannot(err, "%s", cmd.Name())
				}
				a.where, _ = defaultDir(who)
				return nil
			}
		}
		for letter, name := range map[string]string{"b": "bridge", "g": "group", "i": "uplink", "S": "console", "Z": "privilege"} {
			if flags.ShorthandLookup(letter) == nil {
				flags.StringP(name, letter, "", "without effect here; for scripts that pass it to every action")
				_ = flags.MarkHidden(name)
			}
		}
		for letter, name := range map[string]string{"f": "force", "n": "no-title", "X": "terse"} {
			if flags.ShorthandLookup(letter) == nil {
				flags.BoolP(name, letter, false, "without effect here; for scripts that pass it to every action")
				_ = flags.MarkHidden(name)
			}
		}
		if flags.ShorthandLookup("d") == nil {
			flags.IntP("debug", "d", 0, "without effect here; for scripts that pass it to every action")
			_ = flags.MarkHidden("debug")
		}
	}
}
