package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/remote/shell"
	"vnetkit/switch/link/linktest"
)

// A guest finds what cloud-init is to have on a disk that it mounts and cannot
// write to; when the VM ends the disk is gone.
func TestCloudInit(t *testing.T) {
	b := newBench(t, nil)
	dir := filepath.Join(b.home, "seed")
	want := map[string]string{
		"user-data":      "#cloud-config\npassword: " + strings.Repeat("long ", 1000) + "\n", // three sectors
		"network-config": "version: 2\n",
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.more = []string{"--cloud-init", dir}
	g := b.boot("cloudy", "", "none")
	info, err := os.Stat(g.v.path(seedName))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the disk on the host: %v, %v", info, err)
	}
	g.ready()
	g.sh("modprobe virtio_blk && modprobe isofs && mkdir /seed")
	// The guest has no blkid; the test of package seed asks that of the host.
	if out := g.sh("dd if=/dev/vda bs=1 skip=32808 count=8 2>/dev/null"); out != "CIDATA  " {
		t.Errorf("label: %q", out)
	}
	// With map=off there are no small letters but by Rock Ridge.
	g.sh("mount -o ro,map=off -t iso9660 /dev/vda /seed")
	want["meta-data"] = "instance-id: \"cloudy\"\nlocal-hostname: \"cloudy\"\n"
	for name, text := range want {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		if out := g.sh("sha256sum /seed/" + name); !strings.HasPrefix(out, sum) {
			t.Errorf("%s: %s, want %s", name, out, sum)
		}
	}
	if out := g.sh("ls -l /seed"); strings.Count(out, "-r--r--r--    1 0        0 ") != 3 || strings.Count(out, "\n") != 4 {
		t.Errorf("ls: %s", out)
	}
	if out := g.sh("cat /sys/block/vda/ro"); out != "1\n" {
		t.Errorf("read-only: %q", out)
	}
	b.must("kill", "cloudy")
	if _, err := os.Stat(g.v.path(seedName)); err == nil {
		t.Error("the disk is left when QEMU has ended")
	}
	b.must("rm", "cloudy")
}

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
	if args := shell.Quote(v.Argv); v.MACs[0] != "52:54:00:00:77:01" || !strings.Contains(args, "-m 32M ") || !strings.Contains(args, b.disk) {
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
