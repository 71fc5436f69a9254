package main

import (
	"os/exec"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

// The real QEMU takes the command line and is plugged in.
func TestQEMUPlugsIn(t *testing.T) {
	if _, err := exec.LookPath(defaultQEMU); err != nil {
		t.Skipf("needs QEMU: %v", err)
	}
	s := mgmttest.Start(t, mgmt.Options{})
	seq := s.Switch.Info().EventSeq
	var h host
	if code := h.run("-s", s.Dir, "--name", "vm1", "--", "-S", "-nodefaults", "-display", "none", "-m", "16"); code != 0 {
		t.Fatalf("exit %d: %s", code, &h.err)
	}
	cmd := exec.Command(h.argv[0], h.argv[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	e := s.Await(seq, vswitch.EventLinkUp)
	p, err := s.Port(e.Name)
	if err != nil || p.Peer.PID != cmd.Process.Pid {
		t.Errorf("%+v, %v; QEMU is %d", p.Peer, err, cmd.Process.Pid)
	}
}
