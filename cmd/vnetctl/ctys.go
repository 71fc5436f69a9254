package main

import (
	"slices"
	"strings"
)

// ctys-vnetctl takes its options before the action: ctys-vnetctl -u alice create.
// Here a verb's options stand behind it.

// ctysActions are the actions that ctys-vnetctl has.
var ctysActions = []string{"create", "cancel", "check", "info", "ports", "list", "listall"}

// ctysValues are its letters that take a value.
const ctysValues = "bdgilrsSuZ"

// helpLetter is a command line with --help for ctys-vnetctl's -H, as the first
// option or before or after one of its actions.
func helpLetter(args []string) []string {
	if len(args) == 0 || args[0] != "-H" && !slices.ContainsFunc(ctysActions, func(a string) bool { return strings.EqualFold(a, args[0]) }) {
		return args
	}
	out := slices.Clone(args)
	for i, arg := range out {
		if arg == "-H" {
			out[i] = "--help"
		}
	}
	return out
}

// actionFirst is a command line of ctys-vnetctl's with the action first; any
// other is left as it is.
func actionFirst(args []string) []string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case len(arg) < 2 || arg[0] != '-':
			for _, action := range ctysActions {
				if strings.EqualFold(arg, action) {
					out := append([]string{action}, args[:i]...)
					return append(out, args[i+1:]...)
				}
			}
			return args
		case arg[1] == '-':
			return args // long options are ours
		case strings.IndexByte(ctysValues, arg[len(arg)-1]) >= 0 && len(arg) == 2:
			i++ // its value
		}
	}
	return args
}
