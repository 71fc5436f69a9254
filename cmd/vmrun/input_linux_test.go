package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/switch/link/linktest"
)

// A VM of a VMFile runs, on the bridge that stands in its block, with the image
// that lies beside the file.
func TestVMFile(t *testing.T) {
	ns := linktest.NewNamespace(t)
	b := newBench(t, ns)
	ip := func(args ...string) (out []byte) {
		ns.Do(func() (err error) {
			if out, err = exec.Command("ip", args...).CombinedOutput(); err != nil {
				err = fmt.Errorf("ip %q: %w: %s", args, err, out)
			}
			return err
		})
		return out
	}
	ip("link", "add", "vmrbr1", "type", "bridge")
	file := filepath.Join(b.home, "VMFile.kdl")
	text := "vm \"other\" {\n image \"nosuch.img\"\n}\nvm \"filed\" {\n image \"disk.img\"\n memory 0x20\n network \"tap\" {\n bridge \"vmrbr1\"\n mac \"52:54:00:00:77:01\"\n }\n}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.must("--accel", "tcg", "--vmfile", file, "--name", "filed")
	v := b.vm("filed")
	if args := shellQuote(v.Argv); v.MACs[0] != "52:54:00:00:77:01" || !strings.Contains(args, "-m 32M ") || !strings.Contains(args, b.disk) {
		t.Errorf("%v: %s", v.MACs, args)
	}
	if out := string(ip("-o", "link", "show", "master", "vmrbr1")); !strings.Contains(out, "vnet0") {
		t.Errorf("on the bridge: %s", out)
	}
	if out, code := b.try("--accel", "tcg", "--vmfile", file, "--name", "other"); code != 1 || !strings.Contains(out, b.home+"/nosuch.img") {
		t.Errorf("without its image: exit %d: %s", code, out)
	}
	b.must("kill", "filed")
	b.must("rm", "filed")
}
