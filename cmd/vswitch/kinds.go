package main

import (
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// kinds lists what can be a port. Help, validation and the API follow from it.
var kinds = []link.Kind{
	plug.Stream(),
	plug.VDE(),
}
