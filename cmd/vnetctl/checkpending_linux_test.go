package main

import (
	"strings"
	"testing"
)

// While a change is half done what bears its mark is not litter: deleting a
// bridge that has just got the host's addresses would cut the host off.
func TestCheckHalfDone(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	before := hostPicture(t)
	const create, cancel = "create -u nobody -i up0 --confirm 0 -f", "cancel -u nobody --confirm 0 -f"
	killed := func(line, at string) {
		if out, code := host(t, line, dieAt+"="+at); code != -1 {
			t.Fatalf("%s: exit %d: %s", line, code, out)
		}
		out := does(t, "check -n --dhcp 0", 1, "fail  journal", "cure: vnetctl recover\n")
		for _, wrong := range []string{"link delete", "kill it", "does not help", "vnetctl cancel"} {
			if strings.Contains(out, wrong) {
				t.Errorf("%s, killed: check says %q:\n%s", line, wrong, out)
			}
		}
		does(t, "recover", 0, "undone")
	}
	killed(create, "did 7") // there, and in no record
	does(t, create, 0, "made switch")
	killed(cancel, "done 1") // in the record, and partly gone
	does(t, cancel, 0, "removed switch")
	if now := hostPicture(t); now != before {
		t.Errorf("not as before:\n%s\n%s", before, now)
	}
}
