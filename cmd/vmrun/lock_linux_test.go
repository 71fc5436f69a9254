package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Of several who remove a VM at once one does, the others are told that it is not
// there, and nothing is left.
func TestRemovedOnce(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir, err := vmDir("gone")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		lock, err := lockNew(dir)
		if err == nil {
			err = (&vm{Name: "gone", dir: dir}).save()
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = lock.Close()
		errs := make([]error, 4)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = removeVM("gone") })
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !strings.Contains(err.Error(), "there is no VM gone") {
				t.Fatal(err)
			}
		}
		if done != 1 {
			t.Fatalf("%d have removed it", done)
		}
		if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) > 0 {
			t.Fatalf("left: %v", left)
		}
	}
}

// A VM that cannot be read is not kept quiet about, and the others are listed.
func TestListUnreadable(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, text := range map[string]string{"cut": `{"name": "cu`, "other": `{"name": "another"}`, "whole": `{"name": "whole"}`} {
		dir, err := vmDir(name)
		if err = errors.Join(err, os.MkdirAll(dir, 0o700), os.WriteFile(dir+"/vm.json", []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var out, said bytes.Buffer
	if err := listVMs(env{stdout: &out, stderr: &said}, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nwhole ") || strings.Count(out.String(), "\n") != 2 || strings.Count(said.String(), "a VM is not listed") != 2 || !strings.Contains(said.String(), "cut/vm.json") {
		t.Errorf("%s%s", &out, &said)
	}
}
