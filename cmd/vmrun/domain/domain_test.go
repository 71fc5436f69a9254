package domain

import (
	"errors"
	"strings"
	"testing"

	"vnetkit/cmd/vmrun/netdev"
)

// net is an interface on a switch with something more, which begins on line 2.
func net(more string) string {
	return "<interface type='network'><source network='lab'/>\n" + more + "</interface>"
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"bridge", `<interface type='bridge'><source bridge='br0'/><target dev='vnet7'/><mac address='52:54:00:00:00:01'/></interface>`, "bridge,br=br0,ifname=vnet7,mac=52:54:00:00:00:01"},
		{"bridge as it once was", `<interface type='bridge'><source dev='br0'/></interface>`, "bridge,br=br0"},
		{"network", `<interface type='network'><source network='default'/></interface>`, "network,name=default"},
		{"user", `<interface type='user'/>`, "user"},
		{"user with a network", `<interface type='user'><ip family='ipv4' address='172.17.2.0' prefix='24'/><ip family='ipv6' address='2001:db8:ac10:fd01::' prefix='64'/></interface>`,
			"user,net=172.17.2.0/24,ipv6-prefix=2001:db8:ac10:fd01::,ipv6-prefixlen=64"},
		{"forwards", `<interface type='user'><portForward proto='tcp' address='192.0.2.1'><range start='2022' to='22'/></portForward>
			<portForward proto='udp'><range start='5000' end='5003' to='6000'/><range start='5001' end='5002' exclude='yes'/></portForward></interface>`,
			"user,hostfwd=tcp:192.0.2.1:2022-:22,hostfwd=udp:127.0.0.1:5000-:6000,hostfwd=udp:127.0.0.1:5003-:6003"},
		{"passt", `<interface type='user'><backend type='passt'/><source dev='eth0'/></interface>`, "passt,interface=eth0"},
		{"ethernet", `<interface type='ethernet'><target dev='tap1' managed='no'/><script path='/etc/up'/><downscript path='/etc/down'/></interface>`, "ethernet,ifname=tap1,managed=no,script=/etc/up,downscript=/etc/down"},
		{"direct", `<interface type='direct'><source dev='eth0' mode='vepa'/></interface>`, "direct,dev=eth0,mode=vepa"},
		{"mcast", `<interface type='mcast'><source address='230.0.0.1' port='5558'/></interface>`, "mcast,addr=230.0.0.1:5558"},
		{"server", `<interface type='server'><source port='5558'/></interface>`, "server,addr=:5558"},
		{"client", `<interface type='client'><source address='192.0.2.1' port='5558'/></interface>`, "client,addr=192.0.2.1:5558"},
		{"udp", `<interface type='udp'><source address='127.0.0.1' port='1'><local address='127.0.0.1' port='2'/></source></interface>`, "udp,addr=127.0.0.1:1,local=127.0.0.1:2"},
		{"vhostuser", `<interface type='vhostuser'><source type='unix' path='/tmp/v,1' mode='server'/><driver queues='4' rx_queue_size='512'><host csum='off' tso4='off'/><guest csum='off'/></driver></interface>`,
			"vhost-user,sock=/tmp/v,,1,server=on,queues=4,rxqueue=512,device=csum=off,device=host_tso4=off,device=guest_csum=off"},
		{"hostdev", `<interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x06' slot='0x10' function='0x2'/></source></interface>`, "hostdev,host=0000:06:10.2"},
		{"vdpa", `<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>`, "vdpa,dev=/dev/vhost-vdpa-0"},
		{"null", `<interface type='null'><model type='e1000'/><boot order='1'/><link state='down'/></interface>`, "null,model=e1000,boot=1,link=down"},
		{"domain", `<?xml version='1.0'?><domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>x</name><devices><disk/><interface type='user'/><!-- --><interface type='null'/></devices></domain>`, "user null"},
		{"devices", `<devices><interface type='user'><mtu size='9000'/></interface></devices>`, "user,mtu=9000"},
		{"nothing", `<domain/>`, ""},
		{"unknown", "<interface type='user'>\n<colour/></interface>", "user !line 2: <colour>"},
		{"unknown driver", "<interface type='user'><driver ioeventfd='on' name='qemu'/></interface>", "user !line 1: driver ioeventfd"},
		{"vlan", net("<vlan><tag id='42'/></vlan>"), "network,name=lab,vlan=42,tagged=none"},
		{"trunk", net("<vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='47'/><tag id='48'/></vlan>"), "network,name=lab,vlan=42,tagged=47+48"},
		{"trunk of one", net("<vlan><tag id='42' nativeMode='untagged'/></vlan>"), "network,name=lab,vlan=42,tagged=none"},
		{"trunk of two", net("<vlan><tag id='1'/><tag id='4094' nativeMode='untagged'/></vlan>"), "network,name=lab,vlan=4094,tagged=1"},
		{"trunk without a native VLAN", net("<vlan trunk='yes'><tag id='42'/><tag id='47'/></vlan>"), "network,name=lab,native=none,tagged=42+47"},
		{"trunk of one without a native VLAN", net("<vlan trunk='yes'><tag id='42'/></vlan>"), "network,name=lab,native=none,tagged=42"},
		{"trunk of tags alone", net("<vlan><tag id='42'/><tag id='47'/></vlan>"), "network,name=lab,native=none,tagged=42+47"},
		{"native VLAN with its tag", net("<vlan trunk='yes'><tag id='47'/><tag id='42' nativeMode='tagged'/></vlan>"), "network,name=lab,vlan=42,native=tagged,tagged=47"},
		{"native VLAN with its tag alone", net("<vlan><tag id='42' nativeMode='tagged'/></vlan>"), "network,name=lab,vlan=42,native=tagged,tagged=none"},
		{"odd vlan", net("<vlan colour='red'>\n<tag id='1' x=''/>\n<x/></vlan>"), `network,name=lab,vlan=1,tagged=none !line 2: vlan colour="red" is not known, and passed over !line 3: tag x="" is not known, and passed over !line 4: <x> is not known, and passed over`},
		{"isolated", net("<port isolated='yes'/>"), "network,name=lab,isolated=on"},
		{"isolated bridge", "<interface type='bridge'><source bridge='br0'/><port isolated='yes'/></interface>", "bridge,br=br0,isolated=on"},
		{"not isolated", net("<port isolated='no'/>"), "network,name=lab"},
		{"bandwidth", net("<bandwidth><inbound average='1000'/><outbound average='128'/></bandwidth>"), "network,name=lab,impair=out-rate:8000k+in-rate:1024k"},
		{"bandwidth of one side", net("<bandwidth><outbound average='1'/></bandwidth>"), "network,name=lab,impair=in-rate:8k"},
		{"bandwidth with more", net("<bandwidth>\n<inbound average='1000' peak='5000' burst='1024'/>\n<outbound floor='7'/></bandwidth>"),
			`network,name=lab,impair=out-rate:8000k !line 3: inbound peak="5000" is passed over: the switch keeps to the average at all times !line 3: inbound burst="1024" is passed over: the switch keeps to the average at all times` +
				` !line 4: outbound floor="7" is passed over: the switch keeps to the average at all times`},
		{"filter", net("<filterref filter='no-mac-spoofing'/>"), "network,name=lab,allowmac=own"},
		{"filter with addresses", net("<filterref filter='no-mac-spoofing'>\n<parameter name='MAC' value='52:54:00:00:00:01'/><parameter name='MAC' value='52:54:00:00:00:02'/>\n<parameter name='IP' value='1'/></filterref>"),
			"network,name=lab,allowmac=52:54:00:00:00:01+52:54:00:00:00:02 !line 4: <parameter> IP is not known, and passed over"},
		{"all of a port", net("<vlan><tag id='9'/></vlan><port isolated='yes'/><bandwidth><inbound average='5'/></bandwidth>"), "network,name=lab,vlan=9,tagged=none,isolated=on,impair=out-rate:40k"},

		{"not XML", "<interface type=\"user\">\n<mac address=\"52:54:00:00:00:01:/>", "error line 2"},
		{"cut", "<interface type='user'>", "error line 1"},
		{"two", "<interface type='user'/>\n<interface type='user'/>", "error line 2: a second"},
		{"empty", "", "error line 1"},
		{"another root", "<network/>", "error line 1: <network>"},
		{"no such type", "<devices>\n<interface type='quantum'/></devices>", "error line 2: unknown interface type"},
		{"group", "<interface type='user'><mac address='11:22:33:44:55:66'/></interface>", "error line 1: --net user: mac="},
		{"vds", "<interface type='vds'/>", "error line 1: --net vds"},
		{"no source", "<interface type='bridge'/>", "error line 1: --net bridge: br= is missing"},
		{"no host device", "<interface type='hostdev'/>", "error line 1: address bus=\"\""},
		{"half a host device", "<interface type='hostdev'><source>\n<address type='pci' bus='0x06'/></source></interface>", "error line 2: address slot=\"\""},
		{"odd host device", "<interface type='hostdev'><source><address type='pci' bus='zz' slot='0'/></source></interface>", "error line 1: address bus=\"zz\""},
		{"no such function", "<interface type='hostdev'><source><address bus='1' slot='0' function='8'/></source></interface>", "error line 1: address function=\"8\""},
		{"usb", "<interface type='hostdev'><source><address type='usb' bus='1' device='2'/></source></interface>", "error line 1: address type=\"usb\""},
		{"vhost-user somehow", "<interface type='vhostuser'><source type='unix' path='/s' mode='x'/></interface>", "error line 1: source mode=\"x\""},
		{"another charset", "<?xml version='1.0' encoding='ISO-8859-1'?><interface type='user'/>", "error line 1: xml: opening charset \"ISO-8859-1\": it is written in ISO-8859-1, and must be in UTF-8"},
		{"filter", "<interface type='user'>\n<filterref filter='clean-traffic'/></interface>", "error line 2: <filterref> is set on a port of a switch"},
		{"another filter", net("<filterref filter='clean-traffic'/>"), "error line 2: filter \"clean-traffic\" cannot be had"},
		{"no filter", net("<filterref/>"), "error line 2: filter \"\" cannot"},
		{"filter of nobody", net("<filterref filter='no-mac-spoofing'><parameter name='MAC'/></filterref>"), "error line 2: parameter MAC without"},
		{"filter of a group", net("<filterref filter='no-mac-spoofing'><parameter name='MAC' value='01:00:5e:00:00:01'/></filterref>"), "error line 1: --net network: allowmac="},
		{"vlan of a bridge", "<interface type='bridge'><source bridge='br0'/>\n<vlan><tag id='1'/></vlan></interface>", "error line 2: <vlan> is set on a port of a switch"},
		{"bandwidth of a bridge", "<interface type='bridge'><source bridge='br0'/>\n<bandwidth/></interface>", "error line 2: <bandwidth> is set"},
		{"isolated user", "<interface type='user'>\n<port isolated='yes'/></interface>", "error line 2: <port> is set"},
		{"no tag", net("<vlan/>"), "error line 2: <vlan> without"},
		{"no such VLAN", net("<vlan>\n<tag id='4095'/></vlan>"), "error line 3: tag id=\"4095\""},
		{"VLAN 0", net("<vlan><tag id='0'/></vlan>"), "error line 2: tag id=\"0\""},
		{"two tags and no trunk", net("<vlan trunk='no'><tag id='1'/><tag id='2'/></vlan>"), "error line 2: vlan trunk='no'"},
		{"perhaps a trunk", net("<vlan trunk='maybe'><tag id='1'/></vlan>"), "error line 2: vlan trunk=\"maybe\""},
		{"two native VLANs", net("<vlan><tag id='1' nativeMode='untagged'/>\n<tag id='2' nativeMode='untagged'/></vlan>"), "error line 3: a second native"},
		{"two native VLANs of two kinds", net("<vlan><tag id='1' nativeMode='tagged'/>\n<tag id='2' nativeMode='untagged'/></vlan>"), "error line 3: a second native"},
		{"native VLAN and no trunk", net("<vlan trunk='no'><tag id='1' nativeMode='tagged'/></vlan>"), "error line 2: vlan trunk='no'"},
		{"native somehow", net("<vlan><tag id='1' nativeMode='x'/></vlan>"), "error line 2: nativeMode=\"x\""},
		{"perhaps isolated", net("<port isolated='on'/>"), "error line 2: port isolated=\"on\""},
		{"no average", net("<bandwidth><inbound/></bandwidth>"), "error line 2: inbound average=\"\""},
		{"no bandwidth", net("<bandwidth><inbound average='0'/></bandwidth>"), "error line 2: inbound average=\"0\""},
		{"more than there is", net("<bandwidth><outbound average='125000001'/></bandwidth>"), "error line 2: outbound average"},
		{"bandwidth twice", net("<bandwidth><inbound average='1'/><inbound average='2'/></bandwidth>"), "error line 1: --net network: impair="},
		{"vlan twice", net("<vlan><tag id='1'/></vlan><vlan><tag id='2'/></vlan>"), "error line 1: --net network: vlan is given twice"},
		{"script", "<interface type='user'><script path='/x'/></interface>", "error line 1: <script> belongs"},
		{"forward", "<interface type='null'><portForward proto='tcp'/></interface>", "error line 1: <portForward> belongs"},
		{"range", "<interface type='user'><portForward proto='tcp'><range start='9' end='1'/></portForward></interface>", "error line 1: range from 9 to 1"},
		{"ports", "<interface type='user'><portForward proto='tcp'><range start='1' end='65535'/></portForward></interface>", "error line 1: more than"},
		{"group source", "<interface type='mcast'><source address='192.0.0.1' port='5558'/></interface>", "error line 1: --net mcast"},
		{"deep", strings.Repeat("<a>", 100), "error line 1: too much"},
	} {
		nets, warnings, err := Read(strings.NewReader(c.text))
		var words []string
		for _, n := range nets {
			words = append(words, n.String())
		}
		got := strings.Join(words, " ")
		for _, w := range warnings {
			got += " !" + w
		}
		if err != nil {
			got = "error " + err.Error()
			var bad *netdev.UsageError
			if !errors.As(err, &bad) || bad.Cure == "" {
				t.Errorf("%s: an error without a cure", c.name)
			}
		}
		if got != c.want && (!strings.ContainsAny(c.want, "!") && err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// FuzzRead reads anything; what comes of it is a --net that is understood.
func FuzzRead(f *testing.F) {
	f.Add("<interface type='user'><ip address='1.2.3.4'/><portForward proto='tcp'><range start='1' end='9'/></portForward></interface>")
	f.Add("<domain><devices><interface type='hostdev'><source><address/></source></interface></devices></domain>")
	f.Add(net("<vlan trunk='yes'><tag id='4' nativeMode='untagged'/><tag id='7'/></vlan><port isolated='yes'/><bandwidth><inbound average='1' floor='2'/></bandwidth>"))
	f.Add(net("<vlan trunk='yes'><tag id='4' nativeMode='tagged'/><tag id='7'/></vlan>") + net("<vlan trunk='yes'><tag id='7'/></vlan>"))
	f.Add("<a><b></a>")
	f.Fuzz(func(t *testing.T, text string) {
		nets, _, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, n := range nets {
			if _, err := netdev.ParseNet(n.String()); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
