package e2e

import (
	"path/filepath"
	"testing"
)

// addVLAN makes eth0.VID in the guest, at 10.0.VID.n.
func (g *guest) addVLAN(vid string, n int) (ip string) {
	g.t.Helper()
	ip = "10.0." + vid + "." + itoa(n)
	g.sh("ip link add link eth0 name eth0." + vid + " type vlan id " + vid)
	g.sh("ip link set eth0." + vid + " up")
	g.sh("ip addr add " + ip + "/24 dev eth0." + vid)
	return ip
}

// TestGuestVLANs has guests tag their frames themselves, as ports allow that
// by default, and puts a guest that knows nothing of VLANs on an access port.
func TestGuestVLANs(t *testing.T) {
	needGuests(t)
	t.Parallel() // TestVanishedPeerIsReaped leaves a CPU idle
	access := filepath.Join(tempDir(t), "access")
	v := startSwitch(t, "--port", "stream:unix:"+access+",vlan=10,tagged=none")
	a, b := boot(t, 1, streamUnix(v.door(), false)), boot(t, 2, streamUnix(v.door(), false))
	c := boot(t, 3, streamUnix(access, false))
	ready(a, b, c)

	t.Run("TagsPassBetweenTrunks", func(t *testing.T) {
		within(t, a, b, c)
		a.addVLAN("20", 1)
		ip := b.addVLAN("20", 2)
		a.mustPing(ip)
		a.mustPing(ip, "-s 1472") // 1518 bytes with its tag
		if v.learned(a, 20) == 0 || v.learned(b, 20) == 0 {
			t.Error("the FDB does not know the guests in VLAN 20")
		}
		a.mustPing(b.ip)
	})
	t.Run("AccessPortMeetsTag", func(t *testing.T) {
		within(t, a, b, c)
		// c's untagged frames belong to VLAN 10, which a sees with a tag.
		a.addVLAN("10", 1)
		c.sh("ip addr add 10.0.10.3/24 dev eth0")
		a.mustPing("10.0.10.3")
		c.mustPing("10.0.10.1")
		if v.learned(c, 10) == 0 {
			t.Error("the FDB does not know the guest on the access port in VLAN 10")
		}
		if v.learned(c, 1) != 0 {
			t.Error("the guest on the access port leaked into VLAN 1")
		}
	})
	t.Run("VLANsStayApart", func(t *testing.T) {
		within(t, a, b, c)
		// Not a as the target: it is in VLAN 10 too, and Linux answers for all its addresses there.
		c.cannotReach(b.ip, "eth0")
		a.cannotReach(c.ip, "eth0")
	})
}
