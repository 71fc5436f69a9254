package main

import (
	"vnetkit/switch/link"
	"vnetkit/switch/packet"
	"vnetkit/switch/plug"
	"vnetkit/switch/vhost"
	"vnetkit/tap"
)

// kinds lists what can be a port. Help, validation and the API follow from it.
var kinds = []link.Kind{
	plug.Stream(),
	plug.VDE(),
	plug.Dgram(),
	plug.UDP(),
	plug.Mcast(),
	plug.L2TPv3(),
	plug.FD(),
	vhost.Kind(),
	tap.Kind(),
	packet.Kind(),
}
