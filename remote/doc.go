// Package remote is where running commands on other hosts over SSH will live.
// It has no code yet: it arrives with the issue that gives vnetctl its -r.
//
// Theory: the user's own ssh program carries everything, so that keys, agents,
// jump hosts and known hosts are the ones that already work for this user; we
// bring no SSH of our own. The package knows hosts, groups of hosts and macros
// for them, starts one ssh for each host at the same time, and hands back each
// host's output and exit code by itself, so that one host's failure never hides
// another's result. What is run is an argument list; quoting it for the shell
// on the other side, which ssh cannot do without, happens in one function.
//
// It knows nothing of networks or switches, and imports nothing of this module:
// vnetctl decides what to run and what the answers mean.
package remote
