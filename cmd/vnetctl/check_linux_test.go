package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/mgmttest"
	"vnetkit/tap/hostnet"
)

// jsonOf runs a verb with --json and holds what it prints against its schema.
func jsonOf(t *testing.T, verb, args string, code int) string {
	t.Helper()
	out := does(t, strings.TrimSpace(verb+" "+args)+" --json", code)
	schemas, schema := schemaOf(t, answers[verb])
	for _, fault := range schemas.Check(schema, []byte(out)) {
		t.Errorf("vnetctl %s %s: %s in %s", verb, args, fault, out)
	}
	return out
}

// findingsOf are check's.
func findingsOf(t *testing.T, code int) (list []finding) {
	t.Helper()
	var answer checkAnswer
	if err := json.Unmarshal([]byte(jsonOf(t, "check", "--dhcp 0", code)), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Findings
}

func has(list []finding, state, what, text string) bool {
	return slices.ContainsFunc(list, func(f finding) bool {
		return f.State == state && strings.Contains(f.What, what) && strings.Contains(f.Text, text) && (state == stateOK || f.Cure != "")
	})
}

// Everything that can be wrong is found and has a cure; what is right is ok.
func TestCheck(t *testing.T) {
	if !ownHost(t) {
		return
	}
	create := "create -u nobody"
	if !hasTAPs(t) {
		create += " --taps 0"
	}
	jsonOf(t, "create", strings.TrimPrefix(create, "create "), 0)
	list := findingsOf(t, 0)
	want := []string{"bridge ctysbr0", "switch /run/vswitch/nobody", "journal"}
	if hasTAPs(t) {
		want = append(want, "tap tap0")
		if !has(list, stateOK, "switch", "a frame went through TAP tap0") {
			t.Errorf("no echo: %+v", list)
		}
	}
	for _, text := range []string{"its doors are user 65534's", "its console answers", "answers within"} {
		if !has(list, stateOK, "switch /run/vswitch/nobody", text) {
			t.Errorf("not seen: %s: %+v", text, list)
		}
	}
	for _, what := range want {
		if !has(list, stateOK, what, "") {
			t.Errorf("%s is not ok: %+v", what, list)
		}
	}
	const bridgeNF = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	hostSh(t, "modprobe -q br_netfilter || true")
	_, noBridgeNF := os.Stat(bridgeNF)
	for _, c := range []struct{ name, sabotage, repair, state, what, text string }{
		{"bridge down", "ip link set ctysbr0 down", "ip link set ctysbr0 up", stateFail, "bridge ctysbr0", "up is false"},
		{"MTU", "ip link add p0 mtu 1300 type veth peer name p1; ip link set p0 master ctysbr0 up; ip link set ctysbr0 mtu 1500", "ip link delete p0; ip link set ctysbr0 mtu 1500", stateWarn, "bridge ctysbr0", "p0 has 1300"},
		{"port down", "ip link add p0 type veth peer name p1; ip link set p0 master ctysbr0", "ip link delete p0", stateFail, "bridge ctysbr0", "p0 is down"},
		{"orphan", "ip link add o0 type bridge; ip link set o0 alias vnetctl:X:nobody", "ip link delete o0", stateWarn, "o0", "no record"},
		{"directory", "chmod 777 /run/vswitch/nobody", "chmod 700 /run/vswitch/nobody", stateFail, "switch", "mode 0777"},
		{"journal", "echo hello >/run/vnetctl/journal", "rm /run/vnetctl/journal", stateFail, "journal", "cannot be trusted"},
		{"door closed", "chown root /run/vswitch/nobody/stream", "chown nobody /run/vswitch/nobody/stream", stateFail, "switch", "user 65534 does not get in"},
		{"door gone", "mv /run/vswitch/nobody/ctl /run/ctl", "mv /run/ctl /run/vswitch/nobody/ctl", stateFail, "switch", "ctl cannot be looked at"},
		{"console gone", "mv /run/vswitch/nobody/mgmt /run/mgmt", "mv /run/mgmt /run/vswitch/nobody/mgmt", stateFail, "switch", "console does not answer"},
		{"not in the bridge", "ip link set tap0 nomaster", "ip link set tap0 master ctysbr0", stateFail, "tap tap0", "not in bridge ctysbr0"},
		{"TAP that nobody has open", "vnetctl create tap t1 -u nobody", "vnetctl cancel tap t1", stateWarn, "tap t1", "nobody has it open"},
		{"MTU of a port", "vnetctl -s /run/vswitch/nobody port set tap0 mtu=1400", "vnetctl -s /run/vswitch/nobody port set tap0 mtu=1500", stateWarn, "switch", "1400 bytes"},
		{"port shut", "vnetctl -s /run/vswitch/nobody port down tap0", "vnetctl -s /run/vswitch/nobody port up tap0", stateFail, "switch", "tap0 is not plugged in, or not up"},
		{"bridge without ports", "vnetctl create bridge br9", "vnetctl cancel bridge br9", stateWarn, "bridge br9", "has no carrier"},
		{"lost process", "sleep 60 >/dev/null 2>&1 & echo '{\"pid\":'$!',\"born\":\"'$(cut -d' ' -f22 /proc/$!/stat)'\"}' >/run/vnetctl/switch-x; cp /run/vnetctl/switch-x /run/x", "kill $(sed 's/[^0-9]*//;s/,.*//' /run/x); rm /run/vnetctl/switch-x /run/x", stateWarn, "switch process", "switch-x names a switch that runs"},
		{"persistent", "cp -a /run/vnetctl/state.json /run/s; vnetctl create bridge br9 --persist; ip link delete br9; cp -a /run/s /run/vnetctl/state.json", "rm /run/s; vnetctl cancel bridge br9", stateFail, "bridge br9", "created with --persist"},
		{"firewall", "nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'; echo 1 >" + bridgeNF, "nft delete table ip filter", stateFail, "br_netfilter", "chain FORWARD of table ip filter"},
		{"firewall of bridges", "nft 'add table bridge f; add chain bridge f c { type filter hook forward priority 0; policy drop; }'", "nft delete table bridge f", stateFail, "br_netfilter", "chain c of table bridge f"},
		{"daemon killed", "p=$(cat /run/vswitch/nobody/pid); kill -9 $p; while grep -qs 'State:.[^Z]' /proc/$p/status; do sleep 0.01; done", "true", stateFail, "switch", "does not run"},
	} {
		if noBridgeNF != nil && strings.Contains(c.sabotage, bridgeNF) {
			t.Logf("%s: not tried, this kernel has no br_netfilter", c.name)
			continue
		}
		hostSh(t, c.sabotage)
		code := 0
		if c.state == stateFail {
			code = 1
		}
		if list := findingsOf(t, code); !has(list, c.state, c.what, c.text) {
			t.Errorf("%s is not found: %+v", c.name, list)
		}
		hostSh(t, c.repair)
	}
	if list := findingsOf(t, 1); !has(list, stateWarn, "switch /run/vswitch/nobody", "a socket is there") {
		t.Errorf("stale socket: %+v", list)
	}
	does(t, "check -X --dhcp 0", 1)
	if out := does(t, "check -n --dhcp 0", 1, "fail  switch", "cure:"); strings.Contains(out, "ok  ") {
		t.Errorf("-n: %s", out)
	}
	if out := does(t, "listall", 0, "|UID         |GID         |access      |machine-address", "/run/vswitch/nobody           |nobody      |nogroup     |drwx------  |", "(dead)"); !strings.HasPrefix(out, "\nswitch  ") {
		t.Errorf("listall: %q", out)
	}
	if out := does(t, "list -X", 0); strings.TrimSpace(out) != "" {
		t.Errorf("list shows a dead one: %q", out)
	}
	does(t, create, 0, "made switch")
	does(t, "list -X", 0, "/run/vswitch/nobody           |nobody      |nogroup     |drwx------  |")
	jsonOf(t, "recover", "", 0)
	jsonOf(t, "cancel", "-u nobody", 0)
	jsonOf(t, "create bridge", "br5", 0)
	jsonOf(t, "create tap", "t5 -b br5", 0)
	jsonOf(t, "create switch", "/run/sw5 --dry-run", 0)
	jsonOf(t, "cancel tap", "t5", 0)
	jsonOf(t, "cancel bridge", "br5", 0)
	jsonOf(t, "cancel switch", "/run/sw5", 0)
}

// What the host has and how it is set, as files; and what a firewall says.
func TestCheckFixtures(t *testing.T) {
	h, err := hostnet.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	root := t.TempDir()
	e := &exam{ctx: t.Context(), host: h, root: root}
	e.judge([]hostnet.Chain{{Family: "ip", Name: "FORWARD", Drops: true}}, nil)
	e.devices(account{name: "nobody", uid: 65534, gid: 65534})
	e.sysctls("br0")
	if !has(e.findings, stateOK, "br_netfilter", "do not pass") || !has(e.findings, stateFail, "/dev/net/tun", "not there") || !has(e.findings, stateWarn, "/dev/kvm", "not there") || !has(e.findings, stateOK, "bridge br0", "kernel settings") {
		t.Errorf("bare host: %+v", e.findings)
	}
	for path, text := range map[string]string{
		"proc/sys/net/bridge/bridge-nf-call-iptables": "1\n", "proc/sys/net/ipv6/conf/br0/forwarding": "1\n", "proc/sys/net/ipv6/conf/br0/accept_ra": "1\n", "dev/kvm": "", "dev/net/tun": "",
	} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(filepath.Join(root, "dev/kvm"), 0, 1), os.Chmod(filepath.Join(root, "dev/kvm"), 0o660)); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	e.findings = nil
	e.devices(account{name: "nobody", uid: 65534, gid: 65534})
	e.sysctls("br0")
	if len(e.findings) != 3 || !has(e.findings, stateOK, "/dev/net/tun", "need not") || !has(e.findings, stateWarn, "/dev/kvm", "may not open") || !has(e.findings, stateWarn, "bridge br0", "accept_ra is 1") {
		t.Errorf("host with devices: %+v", e.findings)
	}
	if cure := e.findings[1].Cure; os.Geteuid() == 0 && !strings.Contains(cure, "usermod -a -G daemon nobody") {
		t.Errorf("cure: %s", cure)
	}
	chain := func(family string, drops bool) []hostnet.Chain {
		return []hostnet.Chain{{Family: family, Table: "filter", Name: "FORWARD", Drops: drops}}
	}
	for _, c := range []struct {
		chains      []hostnet.Chain
		err         error
		legacy      string
		state, text string
	}{
		{nil, nil, "", stateOK, "no chain of it drops"},
		{chain("ip", false), nil, "", stateOK, "no chain of it drops"},
		{chain("ip", true), nil, "", stateFail, "chain FORWARD of table ip filter"},
		{chain("inet", true), nil, "", stateFail, "table inet filter"},
		{chain("ip6", true), nil, "", stateOK, "no chain of it drops"}, // bridged IPv6 does not pass it
		{chain("bridge", true), nil, "", stateFail, "table bridge filter"},
		{nil, unix.EPERM, "", stateWarn, "only root may look"},
		{nil, unix.EIO, "", stateWarn, "input/output error"},
		{nil, nil, "nat\nfilter\n", stateWarn, "iptables-legacy"},
	} {
		path := filepath.Join(root, "proc/net/ip_tables_names")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(c.legacy), 0o600)); err != nil {
			t.Fatal(err)
		}
		e.findings = nil
		if e.judge(c.chains, c.err); len(e.findings) != 1 || !has(e.findings, c.state, "br_netfilter", c.text) {
			t.Errorf("%+v %v: %+v", c.chains, c.err, e.findings)
		}
	}
}

// Who looks after the interface of the default route, and whether it has a
// carrier, is said.
func TestCheckManagers(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	does(t, "check --dhcp 0", 0, "ok    interface up0: carries the default route, and no program that is known manages it")
	hostSh(t, "mkdir -p /run/systemd/netif/links; echo NETWORK_FILE=/run/systemd/network/10-netplan-up0.network >/run/systemd/netif/links/$(cat /sys/class/net/up0/ifindex)")
	does(t, "check --dhcp 0", 0, "netplan (systemd-networkd) manages it", "-i up0 would be refused")
	does(t, "create bridge br0 -i up0", 1, "netplan (systemd-networkd) manages interface up0", "netplan apply")
	hostSh(t, "ip link set far0 down")
	mgmttest.Until(t, "the carrier is gone", func() bool { return strings.TrimSpace(hostSh(t, "cat /sys/class/net/up0/carrier")) == "0" })
	does(t, "check --dhcp 0", 1, "fail  interface up0: carries the default route, and has no carrier")
	hostSh(t, "rm -r /run/systemd; ip link set far0 up")
	does(t, "create bridge br0 -i up0 --confirm 0 -f", 0, "made bridge br0")
	does(t, "check --dhcp 0", 0, "ok    bridge br0: its kernel settings")
	hostSh(t, "ip link set far0 down")
	mgmttest.Until(t, "the carrier is gone", func() bool { return strings.TrimSpace(hostSh(t, "cat /sys/class/net/up0/carrier")) == "0" })
	does(t, "check --dhcp 0", 1, "fail  bridge br0: its uplink up0 has no carrier")
}

// DHCP servers on a bridge are counted, real ones.
func TestCheckDHCP(t *testing.T) {
	if !ownHost(t) {
		return
	}
	does(t, "create bridge br0", 0, "made bridge br0")
	serve := func(n int) {
		hostSh(t, fmt.Sprintf(`ip netns add d%d; ip link add p%d type veth peer name e netns d%d; ip link set p%d master br0 up
ip -n d%d address add 10.9.0.%d/24 dev e; ip -n d%d link set e up
ip netns exec d%d dnsmasq --port=0 --interface=e --bind-interfaces --no-ping --dhcp-range=10.9.0.100,10.9.0.200 --dhcp-leasefile=/run/leases%d --pid-file=/run/dnsmasq%d --user=root`, n, n, n, n, n, n, n, n, n, n))
	}
	for n, want := range []string{"no carrier", "one other DHCP server answered: 10.9.0.1", "2 DHCP servers answered"} {
		if n > 0 {
			serve(n)
		}
		var out string
		mgmttest.Until(t, want, func() bool { // the bridge's new port may not carry yet
			out, _ = host(t, "check --dhcp 400ms")
			return strings.Contains(out, want)
		})
		if n == 2 && (!strings.Contains(out, "warn  bridge br0") || !strings.Contains(out, "10.9.0.2 (")) {
			t.Errorf("two: %s", out)
		}
	}
	if leases := hostSh(t, "cat /run/leases1 /run/leases2"); leases != "" {
		t.Errorf("addresses were taken: %s", leases)
	}
	does(t, "check --dhcp 2m", 2, "--dhcp wants")
	hostSh(t, "kill $(cat /run/dnsmasq1 /run/dnsmasq2)")
}

// Whatever comes as an offer is borne, and only offers to our question count.
func FuzzOffer(f *testing.F) {
	const id = 0x01020304
	good := discover([6]byte{2, 0, 1, 2, 3, 4}, id)
	copy(good[26:], []byte{10, 0, 0, 1})
	copy(good[34:], []byte{0, dhcpServer, 0, dhcpClient})
	good[42] = 2
	copy(good[42+bootpLen+4:], []byte{optType, 1, typeOffer, optServer, 4, 10, 0, 0, 7, optEnd})
	if server, ok := offer(good, id); !ok || server != "10.0.0.7 (02:00:01:02:03:04)" {
		f.Fatalf("%s, %v", server, ok)
	}
	if _, ok := offer(good, id+1); ok {
		f.Fatal("an offer to somebody else counts")
	}
	f.Add(good)
	f.Add(good[:60])
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = offer(b, id) })
}

func TestMay(t *testing.T) {
	st := unix.Stat_t{Uid: 1, Gid: 2, Mode: 0o660}
	for who, want := range map[*account]bool{
		{uid: 0}: true, {uid: 1, gid: 9}: true, {uid: 3, gid: 2}: true, {uid: 3, gid: 9, groups: []uint32{2}}: true, {uid: 3, gid: 9}: false,
	} {
		if got := may(st, *who); got != want {
			t.Errorf("%s: %v", fmt.Sprint(*who), got)
		}
	}
}
