package main

import (
	"fmt"
	"time"

	"context"

	"github.com/spf13/cobra"

	"vnetkit/tap/hostnet"
)

func (a *app) confirmCommand() *cobra.Command {
	var how string
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep a change that waits for it",
		Long: `Keeps a change of the way to this host. Say it in a new connection: that proves
that one gets through. In the connection that made the change it is refused.`,
		Example: `  ssh host vnetctl confirm`,
		Args:    arguments(0, 0, "flags only"),
		RunE: func(*cobra.Command, []string) error {
			return cannot(a.withEngine(how, func(ctx context.Context, e *hostnet.Engine) error {
				verb, err := e.Confirm(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(decisionAnswer{Verb: verb, Kept: true})
				}
				fmt.Fprintf(a.out, "%s: stays\n", printable(verb))
				return nil
			}), "confirm")
		},
	}
	privilegeFlag(cmd, &how)
	return cmd
}

// privilegeFlag gives a verb -Z.
func privilegeFlag(cmd *cobra.Command, how *string) {
	cmd.Flags().StringVarP(how, "privilege", "Z", "", "`HOW` to become root if need be: SUDO, KSU, ALL, NOSUDO, NOKSU, with commas; the first that is there is used, once")
}

func (a *app) recoverCommand() *cobra.Command {
	var force bool
	var how string
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "End what a killed vnetctl left half done",
		Long: `Undoes what a vnetctl began that was killed, by its journal: afterwards all is as
it was before that run. With nothing to do it says so and exits with 0. A journal
that cannot be trusted is refused, not guessed at.`,
		Example: `  vnetctl recover
  vnetctl recover -f                               undo a change that waits for its confirmation`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(*cobra.Command, []string) error {
			return cannot(a.withEngine(how, func(ctx context.Context, e *hostnet.Engine) error {
				r, err := e.Recover(ctx, force)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(decisionAnswer{r.Verb, r.Undid, r.Kept, r.Stale})
				}
				switch {
				case r.Verb == "":
					fmt.Fprintln(a.out, "nothing to recover")
				case r.Stale:
					fmt.Fprintf(a.out, "%s: was of an earlier boot, which took it with it\n", printable(r.Verb))
				case r.Kept:
					fmt.Fprintf(a.out, "%s: had come to its end, and stays\n", printable(r.Verb))
				default:
					fmt.Fprintf(a.out, "%s: undone, %d steps\n", printable(r.Verb), r.Undid)
				}
				return nil
			}), "recover")
		},
	}
	privilegeFlag(cmd, &how)
	cmd.Flags().BoolVarP(&force, "force", "f", false, "undo also what waits for its confirmation")
	return cmd
}

// guardianCommand is the process that create and cancel start beside them.
func (a *app) guardianCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "guardian",
		Hidden: true,
		Args:   arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := hostnet.Open()
			if err != nil {
				return err
			}
			defer h.Close()
			e := &hostnet.Engine{Host: h, Dir: hostnet.DefaultDir, Lib: hostnet.DefaultLib}
			return e.RunGuardian(cmd.Context())
		},
	}
}

// lockPatience is how long a run waits for another one: scripts start many at
// once, and each takes a fraction of a second.
const lockPatience = 10 * time.Second

func (a *app) withEngine(how string, f func(context.Context, *hostnet.Engine) error) error {
	if how != "" {
		if err := becomeRoot(how); err != nil {
			return err
		}
	}
	h, err := hostnet.Open()
	if err != nil {
		return err
	}
	defer h.Close()
	// Not the command's context: to be interrupted now would help nobody.
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	return f(ctx, &hostnet.Engine{Host: h, Dir: hostnet.DefaultDir, Lib: hostnet.DefaultLib})
}
