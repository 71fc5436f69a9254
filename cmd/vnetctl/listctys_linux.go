package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// ctysTable prints switches as ctys-vnetctl does: the directory, who owns it,
// who may enter it, and this host. Those that do not answer are left out, or,
// with all, marked.
func (a *app) ctysTable(found []client.Found, all bool) {
	const row = "%-30s|%-12s|%-12s|%-12s|%s\n"
	if !a.noHeaders {
		dashes := func(n int) string { return strings.Repeat("-", n) }
		fmt.Fprintln(a.out)
		fmt.Fprintf(a.out, row, "switch", "UID", "GID", "access", "machine-address")
		fmt.Fprintf(a.out, "%s+%s+%s+%s+%s\n", dashes(30), dashes(12), dashes(12), dashes(12), dashes(15))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	for _, f := range found {
		if f.Err != nil && !all {
			continue
		}
		fi, err := os.Stat(f.Dir)
		if err != nil {
			continue
		}
		owner, group := "?", "?"
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			owner, group = strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
		}
		if u, err := user.LookupId(owner); err == nil {
			owner = u.Username
		}
		if g, err := user.LookupGroupId(group); err == nil {
			group = g.Name
		}
		where := host
		switch {
		case errors.Is(f.Err, api.ErrForbidden):
			where += " (not permitted)"
		case f.Err != nil:
			where += " (dead)"
		}
		fmt.Fprintf(a.out, row, printable(f.Dir), printable(owner), printable(group), access(fi.Mode()), where)
	}
}

// access writes a mode as ls does: drwx--S---.
func access(m os.FileMode) string {
	text := []byte("d" + m.Perm().String()[1:])
	if m&os.ModeSetgid != 0 {
		if text[6] = 'S'; m&0o010 != 0 {
			text[6] = 's'
		}
	}
	return string(text)
}

func (a *app) listallCommand() *cobra.Command {
	var bare, terse bool
	cmd := &cobra.Command{
		Use:   "listall",
		Short: "List the switches of this host as ctys-vnetctl does, dead ones, too",
		Long: `Lists the directories of switches, their owners and who may enter them. One that
nobody answers in is marked (dead), one that you may not open (not permitted).
"vnetctl list" says more of those that live.`,
		Example: `  vnetctl listall
  vnetctl listall -n | cut -d'|' -f1`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.noHeaders = a.noHeaders || bare || terse
			found := client.Find(cmd.Context())
			if a.json {
				return a.printJSON(listAnswer(found, nil))
			}
			a.ctysTable(found, true)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&bare, "no-title", "n", false, "without the header")
	cmd.Flags().BoolVarP(&terse, "terse", "X", false, "the same as -n")
	return cmd
}
