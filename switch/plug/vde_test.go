package plug

import (
	"errors"
	"strings"
	"testing"

	"vnetkit/switch/link"
)

func TestParseVDE(t *testing.T) {
	for text, want := range map[string]vdeSpec{
		"vde:/run/sw":                              {dir: "/run/sw", port: link.AnyPort, mode: 0o700, gid: -1, queue: 1024},
		"vde:/run/sw,port=7,mode=0660,group=0":     {dir: "/run/sw", port: 7, mode: 0o660, gid: 0, queue: 1024},
		"vde:/sw,descr=to the lab":                 {dir: "/sw", port: link.AnyPort, mode: 0o700, gid: -1, queue: 1024, descr: "to the lab"},
		"vde:/run/sw,portgroup=lab":                {dir: "/run/sw", port: link.AnyPort, portGroup: "lab", mode: 0o700, gid: -1, queue: 1024},
		"vde:/run/../sw/,listen=on":                {dir: "/sw", listen: true, port: link.AnyPort, mode: 0o600, gid: -1, queue: 1024},
		"vde:/sw,listen=on,group=root,queue=5":     {dir: "/sw", listen: true, port: link.AnyPort, mode: 0o600, gid: 0, queue: 5},
		"vde:":                                     {port: link.AnyPort, mode: 0o700, gid: -1, queue: 1024},
		"vde:/" + strings.Repeat("d", vdeMaxDir-1): {dir: "/" + strings.Repeat("d", vdeMaxDir-1), port: link.AnyPort, mode: 0o700, gid: -1, queue: 1024},
	} {
		spec, err := link.ParseSpec(text)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := parseVDE(spec); err != nil || s != want {
			t.Errorf("%s is %+v, %v\nwant %+v", text, s, err, want)
		}
		if listening, err := VDE().Check(spec); err != nil || listening != want.listen {
			t.Errorf("%s: Check says %t, %v", text, listening, err)
		}
	}
	for text, says := range map[string]string{
		"vde:/x,colour=red":                            `unknown key "colour"`,
		"vde:/x,listen=on,port=3":                      `unknown key "port"`,
		"vde:/x,listen=on,descr=me":                    `unknown key "descr"`,
		"vde:/x,descr=":                                "1 to 64 bytes",
		"vde:/x,descr=" + strings.Repeat("d", 65):      "1 to 64 bytes",
		"vde:/x,descr=a\nb":                            "printable",
		"vde:/x,queue=3":                               `unknown key "queue"`,
		"vde:,mode=0600":                               `unknown key "mode"`,
		"vde:,listen=on":                               "directory is missing",
		"vde:/x,listen=maybe":                          "on or off",
		"vde:/x,port=0":                                "1 to",
		"vde:/x,port=16777216":                         "1 to",
		"vde:/x,mode=rw":                               "octal",
		"vde:/x,mode=1777":                             "octal",
		"vde:/x,group=no-such-group":                   "groupadd no-such-group",
		"vde:/x,listen=on,queue=0":                     "1 to 65536",
		"vde:/x,portgroup=":                            "file name",
		"vde:/x,portgroup=../y":                        "file name",
		"vde:/x,portgroup=.hidden":                     "file name",
		"vde:/x,portgroup=ctl":                         "the switch itself",
		"vde:/x,portgroup=001.7":                       "the switch itself",
		"vde:/" + strings.Repeat("d", 94):              "choose a shorter one",
		"vde:/x,portgroup=" + strings.Repeat("g", 107): "a socket's may have 107",
	} {
		spec, err := link.ParseSpec(text)
		if err == nil {
			_, err = parseVDE(spec)
		}
		var key *link.KeyError
		if err == nil || !strings.Contains(err.Error(), says) || !errors.Is(err, link.ErrSpec) && !errors.As(err, &key) {
			t.Errorf("%s: %v, want an error that says %q", text, err, says)
		}
	}
}
