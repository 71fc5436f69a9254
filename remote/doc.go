// Package remote runs a command on many hosts over SSH.
//
// The user's own ssh program carries everything, so that keys, agents, jump
// hosts and known hosts are the ones that already work for this user; we bring
// no SSH of our own. The package knows hosts, groups of hosts and macros, starts
// one ssh for each host, and hands back each host's output and exit code by
// itself, so that one host's failure never hides another's result. It knows
// nothing of networks or switches, and imports nothing of this module but shell,
// which quotes words: vnetctl decides what to run and what the answers mean.
//
// # From a word to hosts
//
// Book.Hosts reads what a user wrote behind -r: macros are put in (macros.go),
// the text is divided into items, groups are replaced by their members
// (groups.go), ranges are counted out and each host is taken apart (list.go).
// Nothing in such a text or in such a file is ever run.
//
// # A run
//
// What is run is a list of arguments; the shell on the other side, which ssh
// cannot do without, gets them through Quote, in one place. SSH.Run starts ssh in
// a session of its own, so that a Ctrl-C is ours to handle: the program
// over there keeps its standard input open as long as it may run, and takes its
// end as the wish to stop (ssh passes on no signals, and sshd ends nothing
// that has no terminal). Only who does not heed it is cut off.
//
// The first run on a host leaves a connection behind for the next ones
// (ControlMaster), for a minute, in a directory of this user's own.
//
// Each runs a bounded number of hosts at a time. Their output is printed in
// the order of the hosts, so those that finish early wait in a Spool: in memory
// while it is short, in a file without a name when it is not. So memory does
// not grow with hosts.
package remote
