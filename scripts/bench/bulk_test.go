//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The bench's own TCP speaks with the kernel's, both ways.
func TestBulk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace takes root")
	}
	program := filepath.Join(t.TempDir(), "vswitch")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/vswitch").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := testBed(t)
	for _, m := range []bulk{{out: true}, {out: true, keys: ",offload=off"}, {}, {keys: ",offload=off"}} {
		m.mtu, m.dur = 1500, 200*time.Millisecond
		v, err := m.measure(b, program)
		if err != nil {
			t.Fatalf("out=%t%s: %v", m.out, m.keys, err)
		}
		t.Logf("out=%t%s: %.2f Gbit/s", m.out, m.keys, v[mGbps])
		if v[mGbps] < 0.001 {
			t.Errorf("out=%t%s: %v Gbit/s", m.out, m.keys, v[mGbps])
		}
	}
}

func TestWindowScale(t *testing.T) {
	for _, c := range []struct {
		options []byte
		want    uint8
	}{
		{nil, 0}, {[]byte{3, 3, 7}, 7}, {[]byte{2, 4, 5, 180, 1, 3, 3, 10}, 10}, {[]byte{3, 3, 200}, 14}, {[]byte{2, 0, 0}, 0}, {[]byte{8, 90, 1}, 0}, {[]byte{0, 3, 3, 7}, 0}, {[]byte{3, 3}, 0},
	} {
		if got := windowScale(c.options); got != c.want {
			t.Errorf("%v: %d, want %d", c.options, got, c.want)
		}
	}
}
