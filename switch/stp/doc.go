// Package stp is the spanning tree: it says which ports of a bridge may carry
// frames so that bridges that are cabled in rings do not send frames round for
// ever.
//
// # Theory of operation
//
// A Bridge is one instance of the Rapid Spanning Tree Protocol of
// IEEE 802.1D-2004, clause 17, with the state machines of the standard, one
// file for each group of them:
//
//	receive.go    port receive, protocol migration, bridge detection,
//	              port information (17.23, 17.24, 17.25, 17.27)
//	roles.go      port role selection (17.28)
//	transition.go port role transitions, port state transition (17.29, 17.30)
//	topology.go   topology change (17.31)
//	transmit.go   port transmit (17.26)
//
// The names of variables and states are the standard's, so that the code can be
// read beside its figures. Machines run one after the other until none of them
// has anything left to do.
//
// A neighbour that only knows the Spanning Tree Protocol of 1998 is spoken to in
// that (port protocol migration), and a neighbour that speaks vde_switch's FSTP
// is spoken to in its dialect (dialect.go), each on its own port.
//
// # What is outside
//
// A Bridge has no sockets, no goroutines and no clock. Its user calls Input with
// what came in, Enable and Disable when a port's link comes and goes, and Tick
// once a second. A Bridge calls its Host to send, to open and close ports and to
// forget addresses. It is not safe for concurrent use: the user holds a lock.
package stp
