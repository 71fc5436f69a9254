package netdev

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

var update = flag.Bool("update", false, "write the golden files anew")

// qemu72 is what QEMU 7.2 says of itself, as far as it matters here; later ones
// can reconnect.
var qemu72 = Caps{Netdevs: map[string][]string{
	"user": {"hostfwd"}, "tap": {"ifname"}, "bridge": {"br"}, "socket": {"listen"}, "l2tpv3": {"src"}, "vde": {"sock"}, "hubport": {"hubid"},
	"vhost-user": {"chardev"}, "vhost-vdpa": {"vhostdev"}, "stream": {"addr", "server"}, "dgram": {"local", "remote"},
}, Socket: []string{"addr", "reconnect"}}

func with(c Caps, typ string, options ...string) Caps {
	n := Caps{Netdevs: map[string][]string{}, Socket: c.Socket}
	for k, v := range c.Netdevs {
		n.Netdevs[k] = v
	}
	n.Netdevs[typ] = options
	return n
}

func without(c Caps, typ string) Caps {
	n := with(c, typ)
	delete(n.Netdevs, typ)
	return n
}

var testHost = Host{Memory: "1G", MAC: func(card int) frame.MAC { return frame.MAC{0x52, 0x54, 0, 0, 0, byte(card)} }}

// Every mode has its arguments in testdata/NAME.args, and every mistake what is
// said of it in NAME.err.
func TestArgs(t *testing.T) {
	newer := with(qemu72, "stream", "addr", "server", "reconnect-ms")
	newer.Socket = []string{"addr", "reconnect-ms"}
	tcg := testHost
	tcg.TCG = true
	for _, c := range []struct {
		name string
		nets string // one a line
		caps Caps
		host Host
	}{
		{name: "switch", nets: "switch,sock=/run/sw"},
		{name: "switch-comma", nets: "switch,sock=/run/a,,b"},
		{name: "switch-reconnect-ms", nets: "switch,sock=/run/sw", caps: newer},
		{name: "switch-reconnect", nets: "switch,sock=/run/sw", caps: with(qemu72, "stream", "reconnect")},
		{name: "switch-listen", nets: "switch,sock=/run/sw,listen=/vms/a/port0"},
		{name: "switch-old", nets: "switch,sock=/run/sw", caps: without(qemu72, "stream")},
		{name: "switch-none", nets: "switch,sock=/run/sw", caps: without(without(qemu72, "stream"), "vde")},
		{name: "switch-vhost", nets: "switch=lab,sock=/run/sw,door=vhost", host: tcg},
		{name: "switch-vde", nets: "switch,sock=/run/sw,door=vde"},
		{name: "switch-door", nets: "switch,sock=/run/sw,door=strem"},
		{name: "network-switch", nets: "network=lab,sock=/run/sw"},
		{name: "network-bridge", nets: "network=br0,br=br0"},
		{name: "port", nets: "switch,sock=/run/sw,vlan=10,isolated=on,impair=out-rate:8000k,maclimit=4,storm=1000,listen=/vms/a,,b/port0\nnetwork=lab,sock=/run/lab,vlan=10,tagged=20+30-39,listen=/vms/a/port1\nswitch,sock=/run/sw,native=none,tagged=10+20,listen=/vms/a/port2\nswitch,sock=/run/sw,vlan=10,native=tagged,listen=/vms/a/port3"},
		{name: "port-reconnect", nets: "switch,sock=/run/sw,isolated=on,allowmac=52:54:00:00:00:00,listen=/vms/a/port0", caps: newer},
		{name: "port-open-door", nets: "switch,sock=/run/sw,vlan=10"}, {name: "port-of-vhost", nets: "switch,sock=/run/sw,door=vhost,isolated=on,listen=/vms/a/port0"}, {name: "port-of-vde", nets: "switch,sock=/run/sw,door=vde,isolated=on,listen=/x"},
		{name: "port-of-old", nets: "switch,sock=/run/sw,isolated=on,listen=/x", caps: without(qemu72, "stream")},
		{name: "port-of-bridge", nets: "network=br0,br=br0,vlan=10"}, {name: "port-of-network-bridge", nets: "network=br0,br=br0,isolated=on,listen=/x"},
		{name: "port-more", nets: "switch,vlan=10,,isolated=off"}, {name: "port-vlan", nets: "switch,vlan=4095"}, {name: "port-native", nets: "switch,native=both"}, {name: "port-isolated", nets: "switch,isolated=maybe"},
		{name: "port-allowmac", nets: "switch,allowmac=own+mine"}, {name: "port-allowmac-group", nets: "switch,allowmac=01:00:5e:00:00:01"},
		{name: "port-of-user", nets: "user,vlan=10"},
		{name: "bridge-isolated", nets: "bridge=br0,ifname=vnet%d,script=/state/up0,isolated=on"}, {name: "bridge-isolated-helper", nets: "bridge=br0,isolated=on"},
		{name: "bridge-not-isolated", nets: "bridge=br0,isolated=off"}, {name: "tap-isolated", nets: "tap=vnet0,isolated=on"},
		{name: "user", nets: "user"},
		{name: "user-all", nets: "user,hostname=web,restrict=on,ipv4=on,ipv6=off,net=192.168.76.0/24,host=192.168.76.2,dhcpstart=192.168.76.9,dns=192.168.76.3," +
			"dnssearch=a.example,dnssearch=b.example,domainname=example,tftp=/srv,bootfile=pxe,tftp-server-name=t,ipv6-prefix=fec0::,ipv6-prefixlen=64,ipv6-host=fec0::2," +
			"ipv6-dns=fec0::3,smb=/srv,smbserver=192.168.76.4,hostfwd=tcp:127.0.0.1:10022-:22,hostfwd=udp::53-:53,guestfwd=tcp:10.0.2.100:80-cmd:cat"},
		{name: "passt", nets: "passt,sock=/run/passt"},
		{name: "passt-listen", nets: "passt,tcp-ports=2222:22,listen=/vms/a/passt0"},
		{name: "passt-own", nets: "passt", caps: with(qemu72, "passt", "address")},
		{name: "tap", nets: "tap=vnet0"},
		{name: "tap-fd", nets: "tap,br=br0,fd=3,vhost=on"},
		{name: "tap-queues", nets: "tap=vnet0,queues=4,sndbuf=0"},
		{name: "bridge", nets: "bridge=br0"},
		{name: "bridge-fd", nets: "bridge=br0,fd=3"},
		{name: "bridge-script", nets: "bridge=br0,ifname=vnet%d,script=/state/up0"}, {name: "tap-script", nets: "tap,br=br0,script=/state/up0"},
		{name: "ethernet", nets: "ethernet=vnet1,script=/etc/up,,1,downscript=no"},
		{name: "ethernet-unmanaged", nets: "ethernet=vnet1,managed=off"},
		{name: "direct", nets: "macvtap=eth0,mode=bridge,fd=4"},
		{name: "mcast", nets: "mcast=239.192.0.1:5558,localaddr=127.0.0.1"},
		{name: "server", nets: "server=:5558"},
		{name: "server-switch", nets: "server=:5558,sock=/vms/a/switch0"},
		{name: "client", nets: "client=192.0.2.1:5558"},
		{name: "udp", nets: "udp=192.0.2.1:5558,local=192.0.2.2:5559"},
		{name: "stream", nets: "stream=unix:/run/vm"},
		{name: "stream-server", nets: "stream=[::1]:5558,server=on"},
		{name: "stream-fd", nets: "stream=fd:7"},
		{name: "stream-reconnect", nets: "stream=unix:/run/vm,reconnect=5", caps: newer},
		{name: "stream-cannot-reconnect", nets: "stream=unix:/run/vm,reconnect=5"},
		{name: "dgram", nets: "dgram=unix:/run/vm,remote=unix:/run/sw"},
		{name: "dgram-group", nets: "dgram,remote=239.192.0.1:5558"},
		{name: "dgram-nowhere", nets: "dgram"},
		{name: "vde", nets: "vde=/run/vde,port=7,group=net,mode=0770"},
		{name: "l2tpv3", nets: "l2tpv3,src=192.0.2.1,dst=192.0.2.2,srcport=1701,dstport=1701,udp=on,txsession=0x11,rxsession=18,cookie64=on,txcookie=0x0102030405060708,rxcookie=9,counter=on,offset=2"},
		{name: "vhost-user", nets: "vhost-user=/run/vhost,queues=2"},
		{name: "vhost-user-server", nets: "vhost-user=/run/a,,b,server=on"},
		{name: "vhost-user-ms", nets: "vhost-user=/run/vhost", caps: newer, host: Host{Memory: "512", MAC: testHost.MAC}},
		{name: "vhost-user-tcg", nets: "vhost-user=/run/vhost", host: tcg},
		{name: "hubport", nets: "hubport=1"},
		{name: "vdpa", nets: "vdpa=/dev/vhost-vdpa-0"},
		{name: "hostdev", nets: "hostdev=0000:01:00.0"},
		{name: "null", nets: "null"},
		{name: "none", nets: "none"},
		{name: "card", nets: "user,mac=52-54-00-AB-CD-EF,model=virtio,mtu=9000,boot=1,rxqueue=512,txqueue=256,device=csum=off,device=gso=off"},
		{name: "card-model", nets: "user,model=e1000,boot=2"}, {name: "bad-model-key", nets: "user,model=e1000,mtu=9000"},
		{name: "several", nets: "switch,sock=/run/sw\nuser\nvhost-user=/a\nvhost-user=/b"},
		{name: "no-netdev", nets: "l2tpv3,src=a,dst=b,txsession=1", caps: without(qemu72, "l2tpv3")},
		{name: "vnic", nets: "vnic=x"}, {name: "internal", nets: "internal=x"}, {name: "vds", nets: "vds,switchid=1"},
		{name: "bad-mode", nets: "brigde=br0"}, {name: "bad-mode-far", nets: "quantum"}, {name: "bad-key", nets: "user,hostfdw=tcp::1-:2"}, {name: "bad-key-far", nets: "null,colour=red"},
		{name: "bad-flag", nets: "user,restrict=maybe"}, {name: "bad-number", nets: "user,mtu=big"}, {name: "group-mac", nets: "user,mac=11:22:33:44:55:66"},
		{name: "bad-group", nets: "mcast=192.0.0.1:5558"}, {name: "bad-port", nets: "client=192.0.2.1:0"}, {name: "no-port", nets: "client=192.0.2.1"},
		{name: "long-path", nets: "vhost-user=/" + strings.Repeat("x", 107)}, {name: "twice", nets: "user,net=1,net=2"}, {name: "no-value", nets: "user,net"},
		{name: "missing", nets: "bridge"}, {name: "bad-link", nets: "user,link=sideways"}, {name: "no-own-value", nets: "none=1"}, {name: "bad-stream", nets: "stream=/run/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.caps.Netdevs == nil {
				c.caps = qemu72
			}
			if c.host.MAC == nil {
				c.host = testHost
			}
			nets, err := parse(strings.Split(c.nets, "\n"))
			var argv []string
			if err == nil {
				argv, err = Args(nets, c.caps, c.host)
			}
			golden, text := c.name+".args", strings.Join(argv, "\n")+"\n"
			if err != nil {
				var bad *UsageError
				if !errors.As(err, &bad) || bad.Cure == "" {
					t.Fatalf("an error without a cure: %v", err)
				}
				golden, text = c.name+".err", bad.What+"\n"+bad.Cure+"\n"
			}
			compare(t, filepath.Join("testdata", golden), text)
			if err == nil && strings.HasPrefix(c.name, "port") {
				compare(t, filepath.Join("testdata", c.name+".settings"), portsOf(nets))
			}
		})
	}
}

func parse(texts []string) (nets []Net, err error) {
	for _, text := range texts {
		n, err := ParseNet(text)
		if err != nil {
			return nil, err
		}
		nets = append(nets, n)
	}
	return nets, nil
}

// portsOf is what is set on the port of each, which the switch understands.
func portsOf(nets []Net) (text string) {
	for _, n := range nets {
		text += n.Port() + "\n"
	}
	return text
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(path); err != nil || got != string(want) {
		t.Errorf("%s: %v\ngot  %s\nwant %s", path, err, got, want)
	}
}

// Every mode is in the golden files.
func TestEveryModeHasArgs(t *testing.T) {
	for _, m := range modes {
		suffix := ".args"
		if m.refuse != "" {
			suffix = ".err"
		}
		if files, _ := filepath.Glob(filepath.Join("testdata", m.name+"*"+suffix)); len(files) == 0 {
			t.Errorf("no testdata for --net %s", m.name)
		}
	}
	names, help := Modes()
	if len(names) != len(help) || names[0] != "switch" {
		t.Errorf("%q", names)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"brigde": "bridge", "usr": "user", "tpa": "tap", "xyzzy": "", "": ""} {
		if got := nearest(word, []string{"user", "bridge", "tap"}); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestSet(t *testing.T) {
	n, err := ParseNet("tap=vnet0,br=br0")
	if err != nil {
		t.Fatal(err)
	}
	m := n.Set("fd", "3").Set("ifname", "vnet7")
	if m.Get("fd") != "3" || m.Get("ifname") != "vnet7" || n.Has("fd") || n.Get("ifname") != "vnet0" {
		t.Errorf("%v, of %v", m, n)
	}
}

// FuzzNet reads anything; what it accepts reads back the same, and makes
// arguments or a mistake with a cure.
func FuzzNet(f *testing.F) {
	for _, text := range []string{"user,hostfwd=tcp::1-:2,hostfwd=a", "switch=a,,b", "mcast=239.1.1.1:5,mtu=1", "dgram,local=unix:/a,remote=fd:3", "stream=[::1]:5,server=on", "=", ",", "vde=x,mode=9", "switch,vlan=1,,isolated=on", "network=a,impair=delay:1ms,tagged=3+4", "switch,allowmac=own+02:00:00:00:00:01", "switch,vlan=10,native=tagged,tagged=none"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseNet(text)
		if err != nil {
			return
		}
		if back, err := ParseNet(n.String()); err != nil || !reflect.DeepEqual(back, n) {
			t.Fatalf("%q is %v, read back %v, %v", text, n, back, err)
		}
		if set := n.WithOwn(frame.MAC{2}).Port(); set != "" {
			if _, err := vswitch.ParsePortConfig(set); err != nil {
				t.Fatalf("%q: the switch does not understand %q: %v", text, set, err)
			}
		}
		argv, err := Args([]Net{n}, qemu72, testHost)
		var bad *UsageError
		if err != nil && (!errors.As(err, &bad) || bad.Cure == "") {
			t.Fatalf("%q: %v", text, err)
		}
		if again, _ := Args([]Net{n}, qemu72, testHost); fmt.Sprint(again) != fmt.Sprint(argv) {
			t.Fatalf("%q: not the same twice", text)
		}
	})
}
