package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// app is what all verbs share: where to write, and the global flags.
type app struct {
	out, err io.Writer
	colour   bool

	path string // the verb that runs, with vnetctl before it

	where     string // -s
	json      bool
	form      form // -o of verbs that print a table
	noHeaders bool
	timeout   time.Duration

	remote remoteFlags // -r and what goes with it
}

const rootHelp = `vnetctl shows and changes virtual switches, and makes what they need on this host.

Without a verb it shows what runs on this host and what is wrong with it.

-s says which switch: a directory (anything with a slash in it), or a name
under /run/vswitch, $XDG_RUNTIME_DIR/vswitch or /tmp/vswitch-UID.

-r says on which hosts, over your own ssh: vnetctl -r node1,root@node2,@lab ports.
-s HOST:NAME is -r HOST -s NAME.

Exit codes: 0 done, or already so; 1 failed; 2 usage; 3 not permitted;
4 no switch or no host answers; 5 a change of the host was undone. With several
hosts it is the highest of theirs.`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "vnetctl",
		Short: "Show and change virtual switches",
		Long:  rootHelp,
		Example: `  vnetctl                                  what runs here
  vnetctl ports                            who is plugged into the switch "default"
  vnetctl -s lab port set vm1 vlan=10      put a VM into VLAN 10
  vnetctl -s ./sw stats --interval 5s      rates, and drops by reason
  vnetctl monitor --json                   events as they happen
  vnetctl create -u alice                  bridge, TAP and switch for a user
  vnetctl check                            what is wrong on this host, and what cures it
  vnetctl check -r @lab                    and on all hosts of a group`,
		Version: version,
		Args:    a.verb,
		RunE:    a.status,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			a.path = cmd.CommandPath()
			if err := a.checkGiven(cmd, args); err != nil {
				return err
			}
			return a.elsewhere(cmd, args)
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate(fmt.Sprintf("vnetctl %s (commit %s)\n", version, commit))
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVarP(&a.where, "switch", "s", "", "directory or name of the switch (default \""+api.DefaultName+"\")")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	flags.BoolVar(&a.noHeaders, "no-headers", false, "print tables without their first line")
	flags.DurationVar(&a.timeout, "timeout", client.DefaultTimeout, "how long the switch may take to answer")
	a.remote.register(root)
	root.Flags().BoolP("version", "V", false, "print the version")
	_ = root.RegisterFlagCompletionFunc("switch", a.completeSwitch)
	root.AddCommand(
		a.infoCommand(), a.portsCommand(), a.portCommand(), a.fdbCommand(), a.vlanCommand(), a.mirrorCommand(), a.stpCommand(), a.topCommand(), a.graphCommand(),
		a.statsCommand(), a.listCommand(), a.monitorCommand(), a.captureCommand(), a.traceCommand(), a.configCommand(), a.reloadCommand(),
		a.consoleCommand(), a.execCommand(), a.linkCommand(),
	)
	root.AddCommand(a.hostCommands()...)
	a.ctysLetters(root)
	return root
}

// checkGiven refuses what a script gives whose variable is not set: an empty
// selection would select everything.
func (a *app) checkGiven(cmd *cobra.Command, args []string) error {
	empty := ""
	cmd.Flags().Visit(func(f *pflag.Flag) { // those that were given
		if f.Value.String() == "" || f.Name == "vlan" && f.Value.String() == "0" {
			empty = fmt.Sprintf("--%s %q", f.Name, f.Value)
		}
	})
	if slices.Contains(args, "") && cmd.Name() != cobra.ShellCompRequestCmd && cmd.Name() != cobra.ShellCompNoDescRequestCmd {
		empty = "an argument that is empty"
	}
	if empty != "" {
		e := usage("%s%s says nothing", prefix(cmd), empty)
		e.cause, e.cure = "perhaps a variable that is not set", cmd.CommandPath()+" --help"
		return e
	}
	if a.timeout < 0 {
		return usage("%s--timeout %v is before now", prefix(cmd), a.timeout)
	}
	return nil
}

// dial finds the switch that -s names.
func (a *app) dial() (*client.Client, error) {
	dir, err := api.FindDir(a.where)
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(dir)
	if err != nil {
		return nil, a.suggestSwitch(err)
	}
	c.Timeout = a.timeout
	return c, nil
}

// prefix names a subcommand in a message that starts with the program's name.
func prefix(cmd *cobra.Command) string {
	_, verbs, ok := strings.Cut(cmd.CommandPath(), " ")
	if !ok {
		return ""
	}
	return verbs + ": "
}

// verb is the Args of a command that needs one of its subcommands, or nothing.
func (a *app) verb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" {
			names = append(names, sub.Name())
		}
	}
	e := usage("%sthere is no verb %q", prefix(cmd), args[0])
	if near := api.Nearest(args[0], names); near != "" {
		e.cause = fmt.Sprintf("did you mean %q?", near)
		e.cure = cmd.CommandPath() + " " + near
		return e
	}
	e.cause, e.cure = "the verbs are "+strings.Join(names, ", "), cmd.CommandPath()+" --help"
	return e
}

// arguments is the Args of a command that takes at least lo and at most hi
// arguments; what says what they are.
func arguments(lo, hi int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= lo && len(args) <= hi {
			return nil
		}
		e := usage("%san argument is missing", prefix(cmd))
		if len(args) > hi {
			e = usage("%s%q is one argument too many", prefix(cmd), args[hi])
		}
		e.cause = "it takes " + what
		e.cure = cmd.CommandPath() + " --help"
		return e
	}
}

const many = 1 << 20 // arguments: no upper limit

// flagError turns what pflag says into a usage error with a hint.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	e := usage("%s%v", prefix(cmd), err)
	e.cure = cmd.CommandPath() + " --help"
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		kind := map[string]string{"int": "a number", "uint64": "a number", "duration": "a time such as 500ms or 5s", "bool": "true or false", "form": "table, wide or name"}
		e.what = fmt.Sprintf("%s--%s wants %s, not %q", prefix(cmd), invalid.GetFlag().Name, kind[invalid.GetFlag().Value.Type()], invalid.GetValue())
		if invalid.GetValue() == "json" && invalid.GetFlag().Value.Type() == "form" {
			e.cure = cmd.CommandPath() + " --json"
		} else if near := api.Nearest(invalid.GetValue(), forms); near != "" && invalid.GetFlag().Value.Type() == "form" {
			e.cause = fmt.Sprintf("did you mean %q?", near)
		}
		return e
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return e
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if key := unknown.GetSpecifiedName(); cmd.Name() == "set" && settings[cmp.Or(aliases[key], key)] != nil {
		e.cause = fmt.Sprintf("settings are written without dashes: %s=VALUE", key)
	} else if near := api.Nearest(key, names); near != "" {
		e.cause = fmt.Sprintf("did you mean --%s?", near)
	}
	return e
}
