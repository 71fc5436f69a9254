package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/config"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and save a switch's configuration, and compare it with its file",
		Long: `Show and save a switch's configuration, and compare it with its file.

The configuration is what vswitch --config FILE reads. Ports that clients made
by plugging in at a door are no part of it, nor are those that were added with
save=off, as vmrun adds a VM's. Other verbs change the running
switch only: save keeps what they did, vnetctl reload undoes it.`,
		Example: `  vnetctl config show
  vnetctl config diff
  vnetctl config save`,
		Args: a.verb,
		RunE: func(_ *cobra.Command, _ []string) error {
			e := usage("config: a verb is missing")
			e.cause, e.cure = "the verbs are show, save and diff", "vnetctl config show"
			return e
		},
	}
	cmd.AddCommand(a.configShow(), a.configSave(), a.configDiff())
	return cmd
}

// runningConfig asks the switch what it is, and where its file is.
func (a *app) runningConfig(ctx context.Context) (api.Config, error) {
	c, err := a.dial()
	if err != nil {
		return api.Config{}, err
	}
	defer c.Close()
	return c.Config(ctx)
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the running configuration as a file that vswitch --config reads",
		Example: `  vnetctl config show
  vnetctl -s lab config show > lab.toml && vswitch --config lab.toml --check`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			running, err := a.runningConfig(cmd.Context())
			if err != nil {
				return cannot(err, "show the configuration")
			}
			if a.json {
				return a.printJSON(running)
			}
			_, err = fmt.Fprint(a.out, running.TOML)
			return err
		},
	}
}

// configFile is the file that is meant: an argument, or the switch's own.
func configFile(running api.Config, args []string) (string, error) {
	switch {
	case len(args) > 0:
		return filepath.Abs(args[0])
	case running.File != "":
		return running.File, nil
	}
	return "", &api.Error{Code: api.ErrFailed, Message: "this switch was started without a config file", Hint: "name one: vnetctl config save FILE"}
}

// parseRunning reads what the switch says of itself.
func parseRunning(running api.Config) (*config.Config, error) {
	c, err := config.Parse("running", []byte(running.TOML), config.Known{})
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return nil, &api.Error{Code: api.ErrBadAnswer, Message: "the running configuration is not what this program understands: " + explainFile(err).Error(), Hint: "compare versions: vswitch --version and vnetctl --version"}
	}
	return c, nil
}

// explainFile says in one sentence what is wrong with a file.
func explainFile(err error) error {
	var bad config.Mistakes
	switch {
	case errors.As(err, &bad):
		return &api.Error{Code: api.ErrInvalid, Message: bad.Sentence(), Hint: "see them all: vswitch --config " + bad[0].File + " --check"}
	case errors.Is(err, fs.ErrPermission):
		return &api.Error{Code: api.ErrForbidden, Message: err.Error(), Hint: "repeat the command with: sudo"}
	}
	return err
}

func (a *app) configSave() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "save [FILE]",
		Short: "Write the running configuration into the switch's file, or another one",
		Long: `Write the running configuration into the file that vswitch --config named, or
into FILE. The file is replaced at one stroke and keeps its mode and owner. Only
the values that differ are touched, so its comments stay. If some cannot stay,
because what they are about is gone, they are listed and nothing is written
unless you say --force.`,
		Example: `  vnetctl config save
  vnetctl -s lab config save lab.toml`,
		Args: arguments(0, 1, "at most one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.saveConfig(cmd.Context(), args, force), "save the configuration")
		},
		ValidArgsFunction: completeTOML,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "lose comments, or a content that is no configuration")
	return cmd
}

// fileAndRunning finds the file that save and diff are about, and asks the
// switch for its running configuration.
func (a *app) fileAndRunning(ctx context.Context, args []string) (path string, running *config.Config, err error) {
	answer, err := a.runningConfig(ctx)
	if err != nil {
		return "", running, err
	}
	if path, err = configFile(answer, args); err != nil {
		return "", running, err
	}
	running, err = parseRunning(answer)
	return path, running, err
}

func (a *app) saveConfig(ctx context.Context, args []string, force bool) error {
	path, running, err := a.fileAndRunning(ctx, args)
	if err != nil {
		return err
	}
	saved, err := config.Save(path, running, force)
	var loss *config.LossError
	if errors.As(err, &loss) {
		return &api.Error{Code: api.ErrFailed, Message: loss.Error() + "; nothing was written", Hint: "say --force to lose them, or save into another file"}
	}
	if err != nil {
		return explainFile(err)
	}
	if a.json {
		return a.printJSON(api.ConfigSaved{File: saved.File, Changed: saved.Changed, New: saved.New, Lost: append([]string{}, saved.Lost...)})
	}
	switch {
	case saved.New:
		fmt.Fprintf(a.out, "%s written\n", printable(saved.File))
	case !saved.Changed:
		fmt.Fprintf(a.out, "%s says all of it already\n", printable(saved.File))
	default:
		fmt.Fprintf(a.out, "%s saved\n", printable(saved.File))
	}
	for _, text := range saved.Lost {
		fmt.Fprintf(a.out, "  lost: %s\n", printable(text))
	}
	return nil
}

func (a *app) configDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff [FILE]",
		Short: "List what vnetctl reload would change; exit code 1 if there is anything",
		Long: `Compare the running configuration with the file that vswitch --config named, or
with FILE. Each line is one difference, from what is running to what the file
says: + to be added, - to be removed, ~ to be changed.

What the daemon's own command line overrules is no difference, and is told. With
FILE, and for those who may only look at the switch, that is not known: there it
counts as different.

Exit codes: 0 no difference; 1 some; 2 the file is broken.`,
		Example: "  vnetctl config diff\n  vnetctl config diff new.toml && echo same",
		Args:    arguments(0, 1, "at most one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.diffConfig(cmd.Context(), args), "compare the configuration")
		},
		ValidArgsFunction: completeTOML,
	}
}

func (a *app) diffConfig(ctx context.Context, args []string) error {
	path, running, err := a.fileAndRunning(ctx, args)
	if err != nil {
		return err
	}
	file, err := config.Load(path, config.Known{})
	var bad config.Mistakes
	if errors.As(err, &bad) {
		e := usage("config diff: %s", bad.Sentence())
		e.cure = "vswitch --config " + path + " --check"
		return e
	}
	if err != nil {
		return explainFile(err)
	}
	diff := api.ConfigDiff{File: path, Differences: []string{}, Overridden: []string{}}
	if text := config.Diff(running, file).Text(); text != "" {
		diff.Differences = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	if len(args) == 0 {
		a.askReload(ctx, &diff)
	}
	if err := a.printDiff(diff); err != nil || len(diff.Differences) == 0 {
		return err
	}
	return errSilent(api.ExitFailed)
}

// askReload has the daemon say what a reload would do, which knows its own
// command line. Not everybody is told.
func (a *app) askReload(ctx context.Context, diff *api.ConfigDiff) {
	c, err := a.dial()
	if err != nil {
		return
	}
	defer c.Close()
	r, err := c.TryReload(ctx)
	if err != nil || !r.DryRun {
		fmt.Fprintln(a.err, "vnetctl: note: what the daemon's command line overrules counts as different here: who may change the switch is told more")
		return
	}
	diff.Differences = append([]string{}, r.Changes...)
	for _, text := range r.Restart {
		diff.Differences = append(diff.Differences, "~ "+text+" (takes a restart)")
	}
	diff.Overridden = append([]string{}, r.Overridden...)
}

func (a *app) printDiff(diff api.ConfigDiff) error {
	if a.json {
		return a.printJSON(diff)
	}
	for _, line := range diff.Differences {
		fmt.Fprintln(a.out, printable(line))
	}
	for _, text := range diff.Overridden {
		fmt.Fprintf(a.err, "vnetctl: note: the daemon's command line: %s\n", printable(text))
	}
	return nil
}

// completeTOML completes the names of files that may be configurations.
func completeTOML(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []cobra.Completion{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}
