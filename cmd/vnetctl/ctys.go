package main

import "strings"

// ctys-vnetctl takes its options before the action: ctys-vnetctl -u alice create.
// Here a verb's options stand behind it.

// ctysActions are the actions that ctys-vnetctl has.
var ctysActions = []string{"create", "cancel", "check", "info", "ports", "list", "listall"}

// ctysValues are its letters that take a value.
const ctysValues = "bdgiHlrsSuZ"

// actionFirst is a command line of ctys-vnetctl's with the action first; any
// other is left as it is.
func actionFirst(args []string) []string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case len(arg) < 2 || arg[0] != '-':
			for _, action := range ctysActions {
				if i > 0 && strings.EqualFold(arg, action) {
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
