package hostnet

import (
	"fmt"
	"slices"
	"strings"

	"vnetkit/remote/shell"
)

// Text says what it does. The command is one that a shell can run: it opens a
// macvtap's device as Do would, but no shell can open a TAP, so there the switch
// does it by its name, which the TAP's owner may.
func (s *Switch) Text() (string, []string) {
	args, opens := slices.Clone(s.Args), ""
	for i, tap := range s.TAPs {
		if slices.Contains(s.Macvtaps, tap) {
			opens += fmt.Sprintf(" %d<>/dev/tap$(cat /sys/class/net/%s/ifindex)", 3+i, tap)
			continue
		}
		for j := range args {
			if rest, ok := strings.CutPrefix(args[j], fmt.Sprintf("tap:fd=%d,", 3+i)); ok {
				args[j] = "tap:" + tap + "," + rest
			}
		}
	}
	words := append([]string{"setpriv", "--reuid", fmt.Sprint(s.UID), "--regid", fmt.Sprint(s.GID), "--init-groups", "--", s.Program}, args...)
	return fmt.Sprintf("run switch %s as user %d", s.Dir, s.UID), []string{shell.Quote(words) + opens + " &"}
}
