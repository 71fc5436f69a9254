package main

import (
	"strings"
	"testing"

	"vnetkit/cmd/vmrun/qemu"
)

// A machine without a PCI bus has its cards, its disk and the agent's port on the
// bus that it has. Without KVM no guest comes up in it: Linux finds no clock there.
func TestMicrovm(t *testing.T) {
	b := newBench(t, nil)
	b.sw()
	v := b.start("micro", "--net", "switch", "--net", "user,ssh=off", "--", "-M", "microvm", "-S")
	c, err := qemu.Dial(t.Context(), v.path("qmp"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var tree string
	if err := c.Execute("human-monitor-command", map[string]any{"command-line": "info qtree"}, &tree); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]int{"virtio-net-device": 2, "virtio-blk-device": 1, "virtserialport": 1, "bus: pci": 0} {
		if n := strings.Count(tree, device); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, device, want, tree)
		}
	}
}
