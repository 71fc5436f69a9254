package console

import (
	"path/filepath"
	"strings"
	"testing"

	vswitch "vnetkit/switch"
)

// deviations are commands that we answer otherwise than the real switch, on
// purpose; docs/console.md gives the reasons.
var deviations = []struct {
	before  string // commands that come first, between semicolons
	command string
	ours    string
}{
	// A number that is none, or that is missing, is refused; there it means 0.
	{"", "port/print abc", dataOf + ".\n1022 Invalid argument\n"},
	{"", "port/create abc", "1022 Invalid argument\n"},
	{"", "port/create", "1022 Invalid argument\n"},
	{"", "port/create 5x", "1022 Invalid argument\n"},
	{"", "port/remove", "1022 Invalid argument\n"},
	{"", "port/sethub", "1022 Invalid argument\n"},
	{"", "port/sethub x", "1022 Invalid argument\n"},
	{"", "vlan/print abc", dataOf + ".\n1022 Invalid argument\n"},
	{"", "hash/setexpire abc", "1022 Invalid argument\n"},
	{"", "hash/setexpire 0", "1022 Invalid argument\n"},
	{"", "hash/setgcint", "1022 Invalid argument\n"},
	{"", "hash/find 00:11:22:33:44:55 x", dataOf + ".\n1022 Invalid argument\n"},
	{"", "port/resetcounter abc", "1022 Invalid argument\n"},
	{"", "fstp/setfstp", dataOf + ".\n1022 Invalid argument\n"},
	// Leading zeros mean nothing; there, some commands read octal.
	{"port/create 3;vlan/create 30", "vlan/addport 030 3", success},
	{"port/create 3;vlan/create 9", "vlan/addport 09 03", success},
	// Hexadecimal everywhere; there, for some commands.
	{"vlan/create 0x20", "vlan/print 32", data("VLAN 0032\n")},
	{"port/create 0x14", "port/allprint 0x14", data("Port 0020 untagged_vlan=0000 INACTIVE - NOT Unnamed Allocatable\n" +
		" Current User: NONE Access Control: (User: NONE - Group: NONE)\n" +
		" IN:  pkts          0          bytes                    0\n OUT: pkts          0          bytes                    0\n")},
	// VLAN 4094 and port N exist.
	{"", "vlan/create 4094", success},
	{"vlan/create 4094", "vlan/print 4094", data("VLAN 4094\n")},
	{"", "port/create 32", success},
	{"", "port/setnumports 100000", "1022 Invalid argument\n"},
	// A port that goes is told of.
	{"port/create 5;debug/add port/-", "port/remove 5", "3022 port/- 05\n" + success},
	// There is nothing to load, and no tree to set.
	{"", "plugin/add nosuch", "1038 Function not implemented\n"},
	{"", "hash/setminper 1", "1038 Function not implemented\n"},
	// Moved stations are believed, and the table has the room it has.
	{"", "hash/showinfo", data("Hash size 65536\nGC interval 2 secs\nGC expire 100 secs\nMin persistence 0 secs\n")},
}

func TestDeviationsFromTheRealSwitch(t *testing.T) {
	for _, d := range deviations {
		t.Run(d.command, func(t *testing.T) {
			real := startReal(t)
			l := newLab(t, vswitch.Options{MaxPort: 32, Ageing: 100e9})
			theirs, ours := dialConsole(t, real), l.dial()
			if d.before != "" {
				for _, c := range strings.Split(d.before, ";") {
					theirs.do(c)
					if got := ours.do(c); !strings.HasSuffix(got, success) {
						t.Fatalf("%s\nanswered:\n%s", c, got)
					}
				}
			}
			ours.want(d.command, d.ours)
			if got := theirs.do(d.command); got == d.ours {
				t.Errorf("the real one answers the same: this is no deviation")
			}
		})
	}
}

// Commands that end the real switch, or leave it unfit: we refuse them.
func TestCommandsThatBreakTheRealSwitch(t *testing.T) {
	c := newLab(t, vswitch.Options{}).dial()
	c.want("vlan/remove", "1022 Invalid argument\n")
	c.want("vlan/remove 0", "1022 Invalid argument\n")
	c.want("port/create 7", success)
	c.want("port/createauto", data("Port 0001\n"))
	c.want("port/allprint 7", data("Port 0007 untagged_vlan=0000 INACTIVE - NOT Unnamed Allocatable\n"+
		" Current User: NONE Access Control: (User: NONE - Group: NONE)\n"+
		" IN:  pkts          0          bytes                    0\n OUT: pkts          0          bytes                    0\n"))
}

// A script's blank lines are nothing, and its path is shown before each line.
func TestLoad(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	c := l.dial()
	path := filepath.Join(l.dir, "rc")
	write(t, path, "vlan/create 3\n\n # a comment\nnosuch\nvlan/create 3")
	c.want("load "+path, strings.ReplaceAll("vde[P]: vlan/create 3\n1000 Success\nvde[P]: \nvde[P]:  # a comment\nvde[P]: nosuch\n1038 Function not implemented\nvde[P]: vlan/create 3\n1017 File exists\n1000 Success\n", "P", path))
	c.want("load "+l.dir, "1022 Invalid argument\n")
	c.want("load /dev/zero", "1022 Invalid argument\n")
	c.want("load /nonexistent", "1002 No such file or directory\n")
	write(t, path, "load "+path+"\n")
	if got := c.do("load " + path); !strings.Contains(got, "1040 Too many levels of symbolic links\n") || strings.Count(got, "vde[") != maxDepth {
		t.Errorf("a script that loads itself: %s", got)
	}
	write(t, path, "logout\nshowinfo\nshutdown\nshowinfo\n")
	c.say("load " + path + "\n")
	if got := c.read(); strings.Count(got, "pid ") != 1 || !strings.HasSuffix(got, farewell+"<EOF>") {
		t.Errorf("a script that shuts down: %s", got)
	}
	<-l.ended
}
