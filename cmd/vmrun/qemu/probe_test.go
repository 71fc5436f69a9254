package qemu

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func realQEMU(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("qemu-system-x86_64 is not installed: run scripts/deps test")
	}
	return path
}

// script is a program in QEMU's place.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// The real QEMU says what it can do, and is not asked again.
func TestProbe(t *testing.T) {
	program, cache := realQEMU(t), t.TempDir()
	caps, err := Probe(t.Context(), program, cache)
	if err != nil {
		t.Fatal(err)
	}
	for typ, option := range map[string]string{"user": "hostfwd", "tap": "vnet_hdr", "socket": "mcast", "l2tpv3": "txsession", "vde": "sock", "vhost-user": "chardev", "stream": "server", "dgram": "remote"} {
		if !slices.Contains(caps.Netdevs[typ], option) {
			t.Errorf("-netdev %s has %q", typ, caps.Netdevs[typ])
		}
	}
	if !slices.Contains(caps.Socket, "path") && !slices.Contains(caps.Socket, "addr") {
		t.Errorf("-chardev socket has %q", caps.Socket)
	}
	files, _ := filepath.Glob(filepath.Join(cache, "qemu-*.json"))
	if len(files) != 1 {
		t.Fatalf("kept in %q", files)
	}
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(files[0], bytes.ReplaceAll(text, []byte("l2tpv3"), []byte("marked")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Probe(t.Context(), program, cache); err != nil || again.Netdevs["marked"] == nil {
		t.Errorf("asked again: %v", err)
	}
	if err := os.WriteFile(files[0], []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := Probe(t.Context(), program, cache); err != nil || again.Netdevs["l2tpv3"] == nil {
		t.Errorf("with a broken file: %v", err)
	}
}

func TestProbeErrors(t *testing.T) {
	for text, says := range map[string]string{
		"echo cannot open shared object >&2; exit 1": "QEMU says: cannot open shared object",
		"echo hello; cat >/dev/null":                 "does not greet",
		`echo '{"QMP":{}}'; echo '{"error":{"class":"X","desc":"no such thing"}}'; cat >/dev/null`:           "no such thing",
		`echo '{"QMP":{}}'; echo '{"event":"E"}'; echo '{"return":{}}';echo '{"return":[]}'; cat >/dev/null`: "not understood",
	} {
		if _, err := Probe(t.Context(), script(t, text), ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Probe(t.Context(), "/nosuch", ""); err == nil {
		t.Error("without a program")
	}
}

// A real QEMU gets through the firmware, without KVM.
func TestFirmware(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed: run scripts/deps test")
	}
	if err := firmware(t.Context(), "qemu-system-x86_64", "-machine", "accel=tcg"); err != nil {
		t.Error(err)
	}
}

// Machines without that firmware are asked.
func TestQueryKVM(t *testing.T) {
	const greet = `echo '{"QMP":{}}'; read x; echo '{"return":{}}'; read x; `
	if err := queryKVM(t.Context(), script(t, greet+`echo '{"return":{"enabled":true,"present":true}}'; read x; echo '{"return":{}}'`)); err != nil {
		t.Error("enabled:", err)
	}
	if err := queryKVM(t.Context(), script(t, greet+`echo '{"return":{"enabled":false,"present":true}}'`)); err == nil || !strings.Contains(err.Error(), "not enabled") {
		t.Error("not enabled:", err)
	}
}

// A probe of KVM that hangs ends when its time is up, also if the process
// cannot be ended.
func TestKVM(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"works", `test "$1 $2" = "-machine accel=kvm"`, ""},
		{"refused", "echo Could not access KVM kernel module >&2; exit 1", "Could not access KVM"},
		{"hangs", "exec sleep 1000", "not through its firmware within"},
	} {
		limit := 30 * time.Second
		if c.name == "hangs" {
			limit = 50 * time.Millisecond
		}
		err := KVM(context.Background(), script(t, c.text), limit)
		if (c.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
