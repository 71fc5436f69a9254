package vmfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"vnetkit/cmd/vmrun/netdev"
)

// show writes a VM as vmrun's command line would say it.
func (v VM) show() string {
	s := fmt.Sprintf("%s -m %d --cpus %d --net %s %s", v.Name, v.Memory, v.CPUs, v.Net, v.Image)
	if v.Seed != nil {
		s += fmt.Sprintf(" seed %+v", *v.Seed)
	}
	for _, w := range v.Warnings {
		s += " !" + w
	}
	return s
}

func TestRead(t *testing.T) {
	const usual = " -m 1024 --cpus 1 --net "
	in := func(body string) string { return "vm \"x\" {\nimage \"/i\"\n" + body + "\n}" }
	for _, c := range []struct{ name, text, want string }{
		{"least", `vm "x" { image "/i" }`, "x" + usual + "user /i"},
		{"all numbers", in("vcpus 4; memory 0x1000"), "x -m 4096 --cpus 4 --net user /i"},
		{"two", "vm a { image \"/i\"; }\nvm b { image \"/j\"; }", "a" + usual + "user /i; b" + usual + "user /j"},
		{"paths", "vm a { image \"i/a.qcow2\" }\nvm b { image \"~/b\" }\nvm c { image \"~\" }\nvm d { image \"~x/../../y\" }",
			"a" + usual + "user /srv/vms/i/a.qcow2; b" + usual + "user /home/u/b; c" + usual + "user /home/u; d" + usual + "user /srv/y"},
		{"user", in(`network "user"`), "x" + usual + "user /i"},
		{"network without a type", in(`network`), "x" + usual + "user /i"},
		{"tap", in(`network "tap"`), "x" + usual + "bridge,br=br0 /i"},
		{"tap with a property", in(`network "tap" bridge="br1"`), "x" + usual + "bridge,br=br1 /i"},
		{"tap with a block", in("network \"tap\" {\n bridge \"br1\"\n}"), "x" + usual + "bridge,br=br1 /i"},
		{"tap with an empty block", in("network \"tap\" { }"), "x" + usual + "bridge,br=br0 /i"},
		{"tap with both", in(`network "tap" bridge=br1 { bridge br1 }`), "x" + usual + "bridge,br=br1 /i"},
		{"comma", in(`network "tap" bridge="a,mac=b"`), "x" + usual + "bridge,br=a,,mac=b /i"},
		{"none", in(`network "none"`), "x" + usual + "none /i"},
		{"MAC", in(`network "user" mac="52:54:00:00:00:01"`), "x" + usual + "user,mac=52:54:00:00:00:01 /i"},
		{"MAC in a block", in("network tap { mac \"52:54:00:00:00:01\" }"), "x" + usual + "bridge,br=br0,mac=52:54:00:00:00:01 /i"},
		{"second network", in("network none\nnetwork tap"), "x" + usual + "none /i !line 4: a second network is passed over"},
		{"cloud-init with a key", in("cloud-init { hostname h; ssh-key \"~/k.pub\" }\nssh { user admin }"),
			"x" + usual + "user /i seed {Hostname:h UserData: SSHKey:/home/u/k.pub User:admin} !line 4: ssh: vmrun does not keep it; say it each time: vmrun ssh x -l admin"},
		{"cloud-init with user-data", in(`cloud-init { user-data u.yaml; }`), "x" + usual + "user /i seed {Hostname: UserData:/srv/vms/u.yaml SSHKey: User:vm}"},
		{"path without quotes", in(`cloud-init { user-data /u; }`), "error line 3, column 24: "},
		{"cloud-init with a key and user-data", in(`cloud-init { user-data "/u"; ssh-key "/k" }`), "x" + usual + "user /i seed {Hostname: UserData:/u SSHKey: User:vm} !line 3: cloud-init: with user-data the ssh-key is passed over"},
		{"private key", in(`ssh { private-key "k" }`), "x" + usual + "user /i !line 3: ssh: vmrun does not keep it; say it each time: vmrun ssh x -i /srv/vms/k"},
		{"empty ssh", in(`ssh { }`), "x" + usual + "user /i"},
		{"disk", in("disk 20"), "x" + usual + "user /i !line 3: disk 20: vmrun takes the image as large as it is"},
		{"provision", in("provision shell { inline x }\nprovision file { }"), "x" + usual + "user /i !line 3: provision: vmrun does not do it; use cloud-init, or, when the VM runs, vmrun ssh x !line 4: provision"},
		{"unknown elements", in("colour red\nnetwork tap bridge=b speed=1 { mtu 9000; } \nvcpus 1 2 { n 1; }"),
			"x" + usual + "bridge,br=b /i !line 3: colour is not known, and passed over !line 4: network speed= is not known, and passed over !line 4: mtu is not known, and passed over " +
				"!line 5: vcpus 2 is not known, and passed over !line 5: n is not known"},
		{"a setting of another type", in("network user bridge=br0"), "x" + usual + "user /i !line 3: network bridge= is not known"},
		{"unknown beside vm", "defaults { }\nvm x { image \"/i\" }", "x" + usual + "user /i ?line 1: defaults is not known, and passed over"},
		{"dropped", "/-vm y { }\nvm x { image \"/i\"; /-network tap; }", "x" + usual + "user /i"},

		{"empty", "", "error line 1: there is no vm"},
		{"malformed", "vm \"x\" {\n image \"/i\n}", "error line 2, column 8: this string has no end"},
		{"no name", "\nvm { image \"/i\" }", "error line 2: vm: want a text"},
		{"number for a name", "vm 1 { image \"/i\" }", "error line 1: vm: want a text"},
		{"nothing in it", "vm x", `error line 1: vm "x" has nothing in it`},
		{"twice", "vm x { image \"/i\" }\n\nvm x { image \"/i\" }", `error line 3: a second vm "x"; the first is on line 1`},
		{"no image", "vm x { vcpus 1 }", `error line 1: vm "x" has no image`},
		{"no image's path", "vm x {\n image }", "error line 2: image: want a text"},
		{"url", "vm x {\n image-url \"https://example.com/i\" }", "error line 2: image-url: vmrun fetches no images"},
		{"vcpus", in("vcpus 0"), "error line 3: vcpus: 0 is not from 1 to 1024"},
		{"vcpus in words", in("vcpus two"), "error line 3: vcpus: a string, not a number"},
		{"half a vcpu", in("vcpus 0.5"), "error line 3: vcpus: 0.5 is not a whole number"},
		{"no memory", in("memory"), "error line 3: memory: want a number"},
		{"much memory", in("memory 99999999999999999999"), "error line 3: memory: 99999999999999999999 is out of range"},
		{"disk in words", in("disk big"), "error line 3: disk: a string"},
		{"unknown type", in(`network "wifi"`), `error line 3: unknown network type "wifi"; there are user, tap, vnic, none`},
		{"type that is none", in(`network #true`), "error line 3: network: want a text"},
		{"vnic", in(`network "vnic" name="v0"`), "error line 3: --net vnic: VNICs are a thing of illumos"},
		{"vnic in a block", in("network \"vnic\" {\n name \"v0\"\n}"), "error line 3: --net vnic: VNICs are a thing of illumos"},
		{"group MAC", in("network user mac=\"01:00:5e:00:00:01\""), "error line 3: network mac: 01:00:5e:00:00:01 addresses a group"},
		{"group MAC in a block", in("network tap {\n mac \"01:00:5e:00:00:01\"\n}"), "error line 4: network mac: 01:00:5e:00:00:01 addresses a group"},
		{"two bridges", in("network tap bridge=br0 {\n bridge br1\n}"), `error line 4: network bridge is "br1" here and "br0" before`},
		{"no bridge's name", in("network tap bridge=\"\""), "error line 3: network bridge: want a text"},
		{"bridge of a number", in("network tap { bridge 1; }"), "error line 3: bridge: want a text"},
		{"NUL", in(`network tap bridge="\u{0}"`), "error line 3: "},
		{"cloud-init without a key", in("cloud-init { hostname h; }"), "error line 3: cloud-init: vmrun makes no keys"},
		{"ssh user of nothing", in("cloud-init { user-data \"/u\" }\nssh { user \"\"; }"), "error line 4: user: want a text"},
	} {
		vms, warnings, err := Read([]byte(c.text), Dirs{"/srv/vms", "/home/u"})
		var words []string
		for _, v := range vms {
			words = append(words, v.show())
		}
		got := strings.Join(words, "; ")
		for _, w := range warnings {
			got += " ?" + w
		}
		if err != nil {
			got = "error " + err.Error()
			var bad *netdev.UsageError
			if !errors.As(err, &bad) || bad.Cure == "" {
				t.Errorf("%s: an error without a cure", c.name)
			}
		}
		if got != c.want && (!strings.Contains(c.want, "!") && err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPick(t *testing.T) {
	vms := []VM{{Name: "a"}, {Name: "b"}}
	for _, c := range []struct {
		vms        []VM
		name, want string
	}{
		{vms, "b", "b"}, {vms[:1], "", "a"}, {vms[:1], "a", "a"},
		{vms, "", "there are 2 VMs in it, and vmrun starts one at a time; give --name and one of: a b"},
		{vms, "c", `there is no vm "c" in it; give --name and one of: a b`},
		{vms[:1], "c", `there is no vm "c" in it; give --name and one of: a`},
	} {
		v, err := Pick(c.vms, c.name)
		got := v.Name
		var bad *netdev.UsageError
		if errors.As(err, &bad) {
			got = bad.What + "; " + bad.Cure
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzRead reads anything; what comes of it is a VM with an image and a card
// that --net understands.
func FuzzRead(f *testing.F) {
	f.Add("vm \"web\" {\n image \"~/a.qcow2\"\n vcpus 2\n memory 2_048\n disk 20\n network \"tap\" bridge=\"br0\" mac=\"52:54:00:00:00:01\"\n}")
	f.Add("vm a { image i; cloud-init { hostname h; ssh-key k; user-data u }; ssh { user u; private-key k }; provision shell { } }")
	f.Fuzz(func(t *testing.T, text string) {
		vms, _, err := Read([]byte(text), Dirs{"/srv", "/home"})
		for _, v := range vms {
			if _, err := netdev.ParseNet(v.Net.String()); err != nil || v.Name == "" || v.Image == "" || v.CPUs < 1 || v.Memory < 1 {
				t.Fatalf("%q: %+v, %v", text, v, err)
			}
		}
		if (err == nil) != (len(vms) > 0) {
			t.Fatalf("%q: %d VMs, %v", text, len(vms), err)
		}
	})
}
