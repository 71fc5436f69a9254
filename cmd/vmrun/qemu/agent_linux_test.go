package qemu

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"vnetkit/switch/link/linktest"
)

// The real agent, in a namespace instead of a guest, tells all addresses of each
// card but those of loopback and of the link; and again to the next who asks.
func TestRealAgent(t *testing.T) {
	program, err := exec.LookPath("qemu-ga")
	if err != nil {
		t.Skip("qemu-ga is not installed: run scripts/deps test")
	}
	ns, dir := linktest.NewNamespace(t), t.TempDir()
	path := filepath.Join(dir, "agent")
	ctx, cancel := context.WithCancel(context.Background())
	agent := exec.CommandContext(ctx, program, "-m", "unix-listen", "-p", path, "-t", dir)
	agent.WaitDelay = time.Second
	dieWithUs(agent)
	ns.Sysctl("net/ipv6/conf/default/disable_ipv6", "0")
	ns.Sysctl("net/ipv6/conf/all/disable_ipv6", "0")
	ns.Do(func() error {
		out, err := exec.Command("sh", "-ec", `ip link set lo up
			ip link add qga0 address 52:54:00:00:00:01 type veth peer qga1 address 52:54:00:00:00:02
			ip link set qga0 up; ip link set qga1 up
			ip addr add fd09::1/64 dev qga0 nodad; ip addr add 169.254.9.1/16 dev qga0
			ip addr add 10.9.0.1/24 dev qga0; ip addr add 10.9.1.1/24 dev qga0
			ip addr add 10.9.0.2/24 dev qga1`).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	ended := make(chan struct{})
	go func() { // dieWithUs is about the thread, which must live as long
		defer close(ended)
		ns.Do(func() error { _ = agent.Run(); return nil })
	}()
	defer func() { cancel(); <-ended }()
	want := map[[6]byte][]netip.Addr{
		{0x52, 0x54, 5: 1}: {netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.1.1"), netip.MustParseAddr("fd09::1")},
		{0x52, 0x54, 5: 2}: {netip.MustParseAddr("10.9.0.2")},
	}
	for range 2 {
		got, err := GuestAddrs(t.Context(), path)
		for end := time.Now().Add(linktest.Patience); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			got, err = GuestAddrs(t.Context(), path) // it starts, or the machine is busy
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, %v; want %v", got, err, want)
		}
	}
}
