package main

import (
	"vnetkit/switch/frame"
	"vnetkit/tap/hostnet"
)

// kernelNeighbours asks the kernel whom it has talked to.
func kernelNeighbours() (list []neighbour) {
	h, err := hostnet.Open()
	if err != nil {
		return nil
	}
	defer h.Close()
	all, _ := h.Neighbours() // without them other sources are left
	for _, n := range all {
		list = append(list, neighbour{n.Addr, frame.MAC(n.MAC), n.Device})
	}
	return list
}
