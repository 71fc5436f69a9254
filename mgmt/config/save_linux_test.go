package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asSaver in the environment makes the test binary save into a full disk, in a
// mount namespace of its own.
const asSaver = "CONFIG_TEST_FULL_DISK"

// A full disk costs neither the file nor a byte of it, and leaves nothing
// behind.
func TestSaveOnFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestSaveOnFullDisk: mounting a tmpfs takes root")
	}
	if os.Getenv(asSaver) == "" {
		out, err := inMountNamespace(t, "-test.run=^TestSaveOnFullDisk$", "-test.v")
		if strings.Contains(out, "SKIP") {
			t.Skip("TestSaveOnFullDisk: no mount namespaces here")
		}
		if err != nil || !strings.Contains(out, "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skip("SKIP", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skip("SKIP", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "a.toml")
	write(t, path, commented)
	want := read(t, commented)
	want.Put("ageing", "9s")
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 1024))
	}
	_ = filler.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if _, err = Save(path, want, force); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	}
	if content(t, path) != commented {
		t.Error("the file is not what it was")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestSaveKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestSaveKeepsOwner: giving a file away takes root")
	}
	path := filepath.Join(t.TempDir(), "a.toml")
	write(t, path, commented)
	if err := os.Chown(path, 1234, 4321); err != nil {
		t.Fatal(err)
	}
	want := read(t, commented)
	want.Put("ageing", "9s")
	if _, err := Save(path, want, false); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := fi.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 4321 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
}
