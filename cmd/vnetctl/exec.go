package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) execCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "exec COMMAND [ARGUMENT...]",
		Short: "Carry out one command of a switch's VDE console",
		Long: `Carry out one command of a switch's VDE console and print its data.

The exit code is true, unlike that of unixcmd: 0 if the console answered 1000;
2 if the command makes no sense to it (1022, 1038); 3 if it is not permitted
(1001, 1013); 4 if no console answers; 1 otherwise. -S names the console of a
real vde_switch.`,
		Example: `  vnetctl -s lab exec port/print
  vnetctl exec vlan/create 10 && vnetctl exec port/setvlan 3 10
  vnetctl exec -S /run/vde2/tap0.mgmt showinfo`,
		Args: arguments(1, many, "a command and its arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			command := strings.Join(args, " ")
			c, err := a.dialConsole(cmd.Context(), socket)
			if err != nil {
				return cannot(err, "run %q", command)
			}
			defer c.Close()
			return a.exec(cmd, &dialog{app: a, Console: c}, command)
		},
	}
	consoleFlag(cmd, &socket)
	return cmd
}

// execAnswer is what exec --json prints.
type execAnswer struct {
	Command string   `json:"command"`
	Code    int      `json:"code"`   // 1000 and an errno of Linux
	Status  string   `json:"status"` // in words
	Lines   []string `json:"lines"`  // its data
}

func (a *app) exec(cmd *cobra.Command, d *dialog, command string) error {
	do := d.do
	if a.json {
		do = d.Do
	}
	answer, err := do(cmd.Context(), command)
	if err != nil {
		return cannot(err, "run %q", command)
	}
	if a.json {
		if err := a.printJSON(execAnswer{command, answer.Code, answer.Status, append([]string{}, answer.Lines...)}); err != nil {
			return err
		}
	}
	if !answer.OK() {
		return refused(command, answer)
	}
	return nil
}
