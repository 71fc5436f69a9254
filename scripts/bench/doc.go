// Bench measures vswitch beside other switches: a traffic generator whose clients are processes of their own, as QEMUs
// would be, and the program that plugs them in, takes the figures and compares.
//
//	go run ./scripts/bench                   everything, about ten minutes
//	go run ./scripts/bench --quick           the targets only, about two minutes
//	go run ./scripts/bench --filter pair/64  some scenarios
//	go run ./scripts/bench --hold 30s        keep one pair busy and print the switch's pid, for perf
//
// One measurement: start the switch, plug the clients in, let traffic flow for a moment, read all counters and the
// switch's CPU clock, wait, read them again, stop everything. Cells of a scenario take turns (A B C A B C), and a ratio is the
// median of the ratios of each turn. Reading order: scenario.go (what), measure.go (how), worker.go (the clients),
// frame.go (what they send and check), report.go.
package main
