// Package config is a switch as a file: TOML that says all that vswitch's flags
// and the API can set.
//
// Theory of operation: a Config is what a file says, or what a running switch
// is; both have the same form, so that there is one function for every
// comparison. The stations of a reload, in this order:
//
//	Parse     text to a tree that remembers places (tree.go), the tree to a
//	          Config; every mistake is collected with its line and column
//	Check     what needs the whole: numbers and names given twice, static
//	          addresses behind ports that are not there
//	Running   the switch as a Config (running.go)
//	Diff      two Configs to a Plan: what to do and how to say it (diff.go)
//	Apply     the Plan as one change of the switch: all of it or nothing
//
// vnetctl config diff is the same Diff without the last step, and vnetctl
// config save edits the file by it, value by value, so that comments stay
// (edit.go); what an edit would lose is known before anything is written.
//
// Settings of ports are kept as texts, as they stand in a port's spec: there is
// one grammar for values, the switch's own.
//
// Ports that clients made by plugging in at a door are no part of a Config, and
// neither is the door of the switch's own directory.
package config
