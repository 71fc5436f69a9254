package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/mgmttest"
)

// A macvtap as the uplink: the interface stays as it is, and a guest with the
// macvtap's address talks to who is on its network.
func TestCreateMacvtap(t *testing.T) {
	if !ownHost(t) {
		return
	}
	if !hasTAPs(t) {
		t.Skip("this vswitch has no TAPs")
	}
	oneNIC(t)
	hostSh(t, `ip netns add far; ip link set far0 netns far; ip -n far address add 10.9.0.1/24 dev far0; ip -n far link set far0 up`)
	before := hostPicture(t)
	for line, want := range map[string]string{
		"create -u nobody -i macvtap:up0 --taps 2":   "would be a loop",
		"create -u nobody -i macvtap:up0 -b br0":     "neither -b",
		"create bridge br0 -i macvtap:up0":           "goes into no bridge",
		"create tap t0 -i up0":                       "-i wants macvtap:INTERFACE",
		"create -i nat":                              "not in this version",
		"create -u nobody -i macvtap:":               "empty",
		"create -u nobody -i macvtap:nosuch":         "no interface nosuch",
		"create -u nobody -i macvtap:lo":             "loopback",
		"create tap abcdefghijklmnop -i macvtap:up0": "16 bytes",
		"create tap t0 -b nosuch -i macvtap:up0":     "no interface nosuch",
		"create -u nobody -i macvtap:up0,a=b":        "has ','",
	} {
		if text, code := host(t, line); code == 0 || !strings.Contains(text, want) || !strings.Contains(text, "cure:") && code != 2 {
			t.Errorf("vnetctl %s: exit %d, want %q:\n%s", line, code, want, text)
		}
	}
	if now := hostPicture(t); now != before {
		t.Errorf("refused, but changed:\n%s\n%s", before, now)
	}
	create := "create -u nobody -i macvtap:up0"
	does(t, create, 0, "made tap macvtap0", "made switch /run/vswitch/nobody", "one guest gets through macvtap0")
	does(t, create, 0, "unchanged")
	if list := findingsOf(t, 0); !has(list, stateOK, "switch", "a frame went through TAP macvtap0") {
		t.Errorf("no echo: %+v", list)
	}
	does(t, "cancel tap macvtap0", 1, "needed by switch")
	ifi, err := net.InterfaceByName("macvtap0")
	if err != nil {
		t.Fatal(err)
	}
	arpThroughSwitch(t, "/run/vswitch/nobody/stream", ifi.HardwareAddr)
	mgmttest.Until(t, "the guest is gone", func() bool {
		out, _ := host(t, "-s /run/vswitch/nobody ports -o name")
		return !strings.Contains(out, "port")
	})
	does(t, "cancel -u nobody", 0, "removed tap macvtap0")
	if now := hostPicture(t); now != before {
		t.Errorf("cancel left something:\n%s\n%s", before, now)
	}
	// Alone, for QEMU: its user may open the device, and who has it open is named.
	does(t, "create tap mv0 -u nobody -i macvtap:up0", 0, "made tap mv0")
	// The file in /dev is another one's, or gone, if a test beside this one has or
	// had an interface of the same number in its namespace.
	const script = `n=$(cat /sys/class/net/mv0/ifindex); IFS=: read -r major minor </sys/class/net/mv0/macvtap/tap$n/dev; mknod /run/mv0 c $major $minor
[ "$(stat -c %t:%T /dev/tap$n 2>/dev/null)" != "$(stat -c %t:%T /run/mv0)" ] || stat -c %U:%a /dev/tap$n`
	if owner := hostSh(t, script); owner == "" {
		t.Log("its owner cannot be seen: /dev has another's file")
	} else if owner != "nobody:660\n" {
		t.Errorf("its device is %s", owner)
	}
	f, err := os.OpenFile("/run/mv0", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove("/run/mv0")
	does(t, "cancel tap mv0", 1, fmt.Sprintf("[%d]", os.Getpid()), "mv0 is in use by")
	f.Close()
	does(t, "cancel tap mv0", 0, "removed tap mv0")
	if now := hostPicture(t); now != before {
		t.Errorf("cancel left something:\n%s\n%s", before, now)
	}
}

// arpThroughSwitch asks, as a guest at a switch's door with that address, who
// has 10.9.0.1, until somebody answers.
func arpThroughSwitch(t *testing.T, door string, mac net.HardwareAddr) {
	t.Helper()
	conn, err := net.Dial("unix", door)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := bytes.Join([][]byte{
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1},
		mac, {10, 9, 0, 99}, make([]byte, 6), {10, 9, 0, 1}, make([]byte, 18),
	}, nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // the door may not have taken the connection when the first one passes
		for {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(ask))), ask...))
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatalf("no answer: %v", err)
		}
		frame := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(conn, frame); err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if bytes.Equal(frame[:6], mac) && bytes.Equal(frame[12:14], ask[12:14]) && frame[21] == 2 {
			return
		}
	}
}
