package main

import "strings"

// qemuCure is what helps against what QEMU says; "": nobody knows.
func qemuCure(said string) string {
	for _, c := range [][2]string{
		{`" lock`, "another VM runs with this disk (vmrun list): stop it, or give this one a disk of its own"},
		{"Could not set up host forwarding rule", "another program has the port (ss -tlnp), or only root may have it: choose another"},
		{"Image is not in qcow2 format", "the file is called .qcow2 and is none: name it .img if it is a raw image"},
		{"could not configure /dev/net/tun", "a TAP takes root, or one that was made for you: vnetctl create tap NAME -u USER, and --net tap=NAME; --net switch and --net user take no right"},
		{"KVM kernel module", "use --accel tcg, which is slow; or join the group that owns /dev/kvm"},
		{"': Permission denied", "QEMU opens this file to write to it, and needs the right to"},
	} {
		if strings.Contains(said, c[0]) {
			return c[1]
		}
	}
	return ""
}
