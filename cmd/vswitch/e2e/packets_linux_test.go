package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/api"
)

// TestPacketKinds plugs a guest in by each kind that carries a frame in a
// datagram, and one by a descriptor that both programs inherit: all reach each
// other, once, and each is behind its own port.
func TestPacketKinds(t *testing.T) {
	needGuests(t)
	dir := tempDir(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0) // inherited by what starts now
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(pair[0]), "switch's end"), os.NewFile(uintptr(pair[1]), "QEMU's end")
	host := func(n int) string { return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()>>8%128, os.Getpid()%256, n) }
	local, remote := filepath.Join(dir, "switch"), filepath.Join(dir, "vm")
	group := fmt.Sprintf("239.192.%d.%d:5000", os.Getpid()>>8%256, os.Getpid()%256)

	v := startSwitch(t,
		"--port", fmt.Sprintf("fd:%d,name=fd", pair[0]),
		"--port", fmt.Sprintf("dgram:unix:%s,remote=%s,name=dgram", local, remote),
		"--port", fmt.Sprintf("udp:%s:5000,remote=%s:5000,name=udp", host(1), host(2)),
		"--port", fmt.Sprintf("mcast:%s,if=127.0.0.1,name=mcast", group),
		"--port", fmt.Sprintf("l2tpv3:%s:1701,remote=%s:1701,txsession=17,rxsession=18,txcookie=0102030405060708,rxcookie=1112131415161718,counter=on,name=l2tpv3", host(1), host(2)))
	first := boot(t, 1, fmt.Sprintf("stream,id=n0,addr.type=fd,addr.str=%d", pair[1]))
	near.Close()
	far.Close()
	guests := map[string]*guest{
		"fd":    first,
		"dgram": boot(t, 2, fmt.Sprintf("dgram,id=n0,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", remote, local)),
		"udp":   boot(t, 3, fmt.Sprintf("dgram,id=n0,local.type=inet,local.host=%[1]s,local.port=5000,remote.type=inet,remote.host=%[2]s,remote.port=5000", host(2), host(1))),
		"mcast": boot(t, 4, fmt.Sprintf("socket,id=n0,mcast=%s,localaddr=127.0.0.1", group)),
		"l2tpv3": boot(t, 5, fmt.Sprintf("l2tpv3,id=n0,src=%s,dst=%s,srcport=1701,dstport=1701,udp=on,txsession=18,rxsession=17,"+
			"txcookie=0x1112131415161718,rxcookie=0x0102030405060708,cookie64=on,counter=on", host(2), host(1))),
	}
	for _, g := range guests {
		ready(g)
	}
	for name := range guests {
		eventually(t, name+" is up", func() bool { p := v.port(name); return p != nil && p.State == api.StateUp })
	}
	for name, g := range guests {
		for _, other := range guests {
			if other != g { // a second answer would be counted as a duplicate
				g.sh("ping -c 1 -W 20 " + other.ip + " | grep '1 packets received' | grep -v duplicates")
			}
		}
		if id, p := v.learned(g, 1), v.port(name); id != p.ID {
			t.Errorf("%s is behind port %d, not behind %q, port %d", g.name, id, name, p.ID)
		}
	}
	// Short frames, which are to be filled up, and the longest of an MTU.
	for name, g := range guests {
		if name != "fd" {
			first.sh("for n in 0 1 17 18 19 1472; do ping -c 1 -W 20 -s $n " + g.ip + " || exit 1; done")
		}
	}
}
