package main

import (
	"flag"
	"testing"

	"vnetkit/cmd/internal/man"
	"vnetkit/cmd/vswitch/cable"
)

//go:generate go test . -count=1 -run ^TestGenerated -update

var updateMan = flag.Bool("update", false, "write docs/man anew")

// docs/man has what vswitch --help says.
func TestGeneratedManPage(t *testing.T) {
	opt, err := parseFlags([]string{"--help"})
	if err != nil {
		t.Fatal(err)
	}
	name, text := man.Help(opt.help,
		"A switch is a directory. vswitch makes it and puts its doors into it: the sockets stream, where QEMU's -netdev stream and -netdev socket plug in, and api, which vnetctl and curl speak to. Who may open a door may plug in; who may change the switch is its user, root and --mgmtgroup.",
		"It runs until SIGINT or SIGTERM and then removes what it made. What a killed switch left behind is cleared up by the next one in the same directory.",
		"Exit codes: 0 stopped in an orderly way, 1 failed, 2 usage or a config file with mistakes, 3 not permitted.")
	plugName, plugText := man.Help(cable.Help(),
		"vswitch plug joins two Ethernet switches as if by a cable, or a switch and a byte stream of frames. It does what vde_plug and dpipe do, and either side of the stream may be a vde_plug.")
	man.Compare(t, "../../docs/man", "vswitch", map[string][]byte{name + ".1": text, plugName + ".1": plugText}, *updateMan)
}
