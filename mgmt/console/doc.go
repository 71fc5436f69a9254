// Package console is the management console of vde_switch, for a switch that is
// not vde_switch: terminals (unixterm, vdeterm), programs (unixcmd, libvdemgmt)
// and scripts that were written for the one talk to the other.
//
// # Theory of operation
//
// Every command is one line of the table in table.go, in the order of the
// original's table, because a line is matched against it by prefix and the first
// hit counts. A handler turns its arguments into calls of vswitch.Switch and
// writes text; whatever it returns becomes the status line, whose number is the
// errno that the original would have given: scripts compare numbers.
//
// A session (session.go) reads lines and answers them one after the other. Lines
// end with a newline; a rest without one counts as a line when nothing follows
// for a moment, because vdeterm sends no newlines. Answers are written in whole,
// however long they are; a client that does not read is waited for ten seconds
// and then cut off. Each session has its own two goroutines, so a slow or idle one
// is nobody else's concern.
//
// What the switch has no notion of is kept here: which VLANs were created without
// a member, which VLAN of the switch stands for the console's VLAN 0 (vlanbook.go),
// where counters were when somebody reset them, who uses which IP address
// (iplog.go). It is gone when the daemon ends, as it is with the original.
//
// Sources: the text and the numbers were taken from sessions with Debian's
// vde_switch 2.3.2, side by side with which the tests run this package. What
// differs on purpose is listed in docs/console.md.
package console
