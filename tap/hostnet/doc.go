// Package hostnet changes the host's own network: bridges, TAPs, switches run
// for a user, and the addresses of an uplink that goes into a bridge. It is
// written for hosts that nobody can walk to.
//
// Theory of operation. A change is a Plan: an ordered list of small steps. Each
// Step knows how to do itself, how to see that it is done, how to undo itself
// and how an admin would type it (ip commands). Steps are plain values, so a
// plan can be written down:
//
//	lock      one run at a time; who comes second waits, and is told who holds it
//	journal   the whole plan, and a line before and after every step; synced
//	          before the first step
//	guardian  a process of its own, when the plan touches what the admin is
//	          logged in through: it undoes the plan unless a new connection
//	          confirms in time, and at once when the run dies
//	steps     do, then read back from the kernel
//	commit    the state file is replaced: from here on the change stays
//
// A step that fails makes the run undo what it did, last step first. A run that
// is killed leaves its journal; Recover, from any later process, undoes it the
// same way. For that every Undo can be repeated and bears a step that was done
// half or not at all.
//
// Ownership. What this package makes it marks: a text in the interface's alias,
// and an Object in the state file with the steps that made it. Removing an
// Object is a plan of the same steps, reversed; what bears no mark is never
// removed. So removing, too, can be undone, up to the interface's number.
//
// Addresses. A Config is what makes an interface reachable: addresses, routes
// of all tables, rules that name it, permanent neighbours. It is kept as the
// kernel's own messages, with the interface's number and name replaced, so that
// nothing is lost that this program does not know. A move (remove there, add
// here) is one write to the kernel, which carries it out without coming back to
// this process: a kill cannot fall into the middle of it. Large configurations
// take several writes.
//
// Reboots. Nothing above survives one, on purpose. A Wish does: an object as it
// was asked for, kept in a file of its own that a commit changes along with the
// state, and planned anew by PlanWish.
//
// Concurrency: a Host and what is made from it belong to one goroutine. Whoever
// runs at the same time is another process, kept out by the lock.
package hostnet
