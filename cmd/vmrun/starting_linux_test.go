package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// While a VM is being started nobody removes it, another one gets another SSH
// port than it, and who kills it has it killed.
func TestWhileStarting(t *testing.T) {
	b := newBench(t, nil)
	// A vmrun whose vswitch, which is looked for beside it, is slow.
	slow := filepath.Join(b.home, "slow")
	text := fmt.Sprintf("#!/bin/sh\n>%[1]s/begun\nwhile [ -e %[1]s/begun ] && [ ! -e %[1]s/go ]; do sleep 0.02; done\nexec %[2]s/vswitch \"$@\"\n", slow, b.bin)
	if err := os.Mkdir(slow, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(b.bin+"/vmrun", slow+"/vmrun"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slow+"/vswitch", []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "XDG_STATE_HOME="+b.home, "XDG_CACHE_HOME="+b.home+"/cache", "XDG_RUNTIME_DIR="+b.home)
	start := exec.Command(slow+"/vmrun", "--accel", "tcg", "-m", "32M", "--net", "user", "--net", "server=127.0.0.1:5104", "--name", "v13", b.disk)
	start.Env = environ
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	b.await("the VM is being started", func() bool {
		_, err := os.Stat(slow + "/begun")
		return err == nil
	})
	late := b.vm("v13")
	if s := late.state(); s != "starting" {
		t.Errorf("it is %s", s)
	}
	if out, code := b.try("rm", "v13"); code != 1 || !strings.Contains(out, "is being started") {
		t.Errorf("rm: exit %d: %s", code, out)
	}
	// These names have the same port.
	if v := b.start("v8", "--net", "user"); sshPort("v8") != sshPort("v13") || v.SSH == late.SSH {
		t.Errorf("both have port %d", v.SSH)
	}
	kill := exec.Command(b.bin+"/vmrun", "kill", "v13")
	kill.Env = environ
	if err := kill.Start(); err != nil {
		t.Fatal(err)
	}
	for range 5 { // kill has the time to do too little
		b.must("list")
	}
	if err := os.WriteFile(slow+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kill.Wait(); err != nil {
		t.Errorf("kill: %v", err)
	}
	_ = start.Wait() // it runs by then, or was killed before
	if v := b.vm("v13"); v.state() != "stopped" {
		t.Errorf("it was killed and is %s", v.state())
	}
	b.must("rm", "v13")
}

// A name is a name, also where another program would read a pattern or an option
// in it: such a VM leaves others alone, and nothing of its own.
func TestOddNames(t *testing.T) {
	b := newBench(t, nil)
	b.sw()
	plain := b.start("v8", "--net", "null")
	out, code := b.try("--accel", "tcg", "-m", "32M", "--net", "null,mac="+plain.MACs[0], "--name", "v?", b.disk)
	if code != 1 || !strings.Contains(out, "another VM runs with this disk") || !strings.Contains(out, "card 0 has the address of card 0 of VM v8") {
		t.Errorf("another VM has the disk and the address: exit %d: %s", code, out)
	}
	for _, socket := range []string{"qmp", "console", "agent"} {
		if _, err := os.Lstat(plain.path(socket)); err != nil {
			t.Errorf("a VM that is called v? took from v8: %v", err)
		}
	}
	b.must("kill", "v8")
	b.start(`a=[b\ '"%d`, "--net", "switch", "--net", "user")
	b.must("kill", `a=[b\ '"%d`)
	for _, name := range []string{"v8", "v?", `a=[b\ '"%d`} {
		b.must("rm", name)
	}
	if left, _ := os.ReadDir(filepath.Dir(plain.dir)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
