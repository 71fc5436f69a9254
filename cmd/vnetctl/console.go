package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func (a *app) consoleCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "console [[HOST:]NAME]",
		Short: "Type commands at a switch's VDE console",
		Long: `Type commands at a switch's VDE console: that of vde_switch, which "help" lists.

On a terminal lines can be edited and called back, Tab completes commands, and
what the switch says by itself (debug/add) appears between the lines. Otherwise
commands are read from standard input, one a line, and the exit code is that of
the last one that failed. -S names the console of a real vde_switch.`,
		Example: `  vnetctl -s lab console
  vnetctl console node1:lab
  printf 'vlan/create 10\nport/setvlan 3 10\n' | vnetctl console
  vnetctl console -S /run/vde2/tap0.mgmt`,
		Args: arguments(0, 1, "the switch, if it is not -s"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if a.where != "" {
					return usage("console: -s %s and %s both name a switch", a.where, args[0])
				}
				a.where = args[0]
			}
			c, err := a.dialConsole(cmd.Context(), socket)
			if err != nil {
				return cannot(err, "open the console")
			}
			defer c.Close()
			d := &dialog{app: a, Console: c}
			in, ok := cmd.InOrStdin().(*os.File)
			if out, isFile := a.outFile(); ok && isFile && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd())) {
				return cannot(d.interactive(cmd.Context(), in, out), "use the console")
			}
			return d.batch(cmd.Context(), cmd.InOrStdin())
		},
	}
	consoleFlag(cmd, &socket)
	return cmd
}

func consoleFlag(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVarP(socket, "mgmt", "S", "", "the console's socket, if it is not mgmt in the switch's directory")
}

// dialConsole finds the console that -s or -S names.
func (a *app) dialConsole(ctx context.Context, socket string) (*client.Console, error) {
	if socket == "" {
		dir, err := api.FindDir(a.where)
		if err != nil {
			return nil, err
		}
		socket = dir
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	c, err := client.DialConsole(ctx, socket)
	if err != nil {
		return nil, a.suggestSwitch(err)
	}
	return c, nil
}

// dialog is somebody's use of a console.
type dialog struct {
	*app
	*client.Console
	w io.Writer // where answers go; nil: standard output
}

func (d *dialog) writer() io.Writer {
	if d.w != nil {
		return d.w
	}
	return d.out
}

// do carries out a command and shows the answer.
func (d *dialog) do(ctx context.Context, command string) (client.ConsoleAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	answer, err := d.Do(ctx, command)
	for _, line := range answer.Lines {
		fmt.Fprintln(d.writer(), printable(line))
	}
	return answer, err
}

// batch reads commands from a file or a pipe.
func (d *dialog) batch(ctx context.Context, in io.Reader) error {
	var failed error
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		command := strings.TrimSpace(lines.Text())
		if command == "" || command[0] == '#' {
			continue
		}
		answer, err := d.do(ctx, command)
		if err != nil {
			return cannot(err, "run %q", command)
		}
		if !answer.OK() {
			failed = refused(command, answer)
			fmt.Fprintf(d.err, "vnetctl: %s: %d %s\n", printable(command), answer.Code, printable(answer.Status))
		}
		if answer.Code == 9999 {
			break
		}
	}
	if err := lines.Err(); err != nil {
		return cannot(err, "read commands")
	}
	if failed != nil {
		return errSilent(exitOf(failed))
	}
	return nil
}

// exitOf is the exit code for an error of a command.
func exitOf(err error) int {
	_, _, code := parts(err)
	return code
}

// refused makes an error of an answer that is one: bad commands are usage, and the
// rest is what the number says.
func refused(command string, a client.ConsoleAnswer) error {
	text := fmt.Sprintf("%d %s", a.Code, a.Status)
	switch a.Code {
	case 1022, 1038, 1007: // EINVAL, ENOSYS, E2BIG
		e := usage("cannot run %q", command)
		e.cause, e.cure = text, "vnetctl exec help"
		return e
	case 1001, 1013: // EPERM, EACCES
		return cannot(&api.Error{Code: api.ErrForbidden, Message: text}, "run %q", command)
	}
	return cannot(&api.Error{Code: api.ErrFailed, Message: text}, "run %q", command)
}

// bothWays joins the two sides of a terminal.
type bothWays struct {
	io.Reader
	io.Writer
}

// interactive reads commands from a terminal until the session or the input ends.
func (d *dialog) interactive(ctx context.Context, in, out *os.File) error {
	commands, err := d.commands(ctx)
	if err != nil {
		return err
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(in.Fd()), old) }() // there is nobody left to tell
	t := term.NewTerminal(bothWays{in, out}, d.Prompt+" ")
	if w, h, err := term.GetSize(int(out.Fd())); err == nil && w > 0 && h > 0 {
		_ = t.SetSize(w, h) // a terminal of odd size shows lines oddly
	}
	t.AutoCompleteCallback = completer(commands)
	d.w = t
	d.News = func(line string) { fmt.Fprintln(t, printable(line)) }
	fmt.Fprintln(t, printable(strings.ReplaceAll(d.Banner, "\n", "; ")))
	for {
		line, err := d.await(ctx, t)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := d.do(ctx, line)
		switch {
		case err != nil:
			return err
		case answer.Code == 9999:
			return nil
		case strings.TrimSpace(line) != "" && (!answer.OK() || len(answer.Lines) == 0):
			fmt.Fprintf(t, "%d %s\n", answer.Code, printable(answer.Status))
		}
	}
}

// await reads a line, and shows news until there is one.
func (d *dialog) await(ctx context.Context, t *term.Terminal) (string, error) {
	quiet, cancel := context.WithCancel(ctx)
	var line string
	var lineErr error
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer cancel()
		line, lineErr = t.ReadLine()
	}()
	for {
		if err := d.Await(quiet); err != nil {
			if quiet.Err() == nil {
				return "", err // the console is gone, and the program with it
			}
			break
		}
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	<-read
	return line, lineErr
}

// commands lists what can be typed.
func (d *dialog) commands(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	help, err := d.Do(ctx, "help")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, line := range help.Lines {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[1] != "============" && fields[0] != "COMMAND" && fields[0] != "------------" {
			list = append(list, fields[0])
		}
	}
	return list, nil
}

// completer completes the command at the beginning of a line as far as there is
// one way to go on.
func completer(commands []string) func(string, int, rune) (string, int, bool) {
	return func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' || pos != len(line) {
			return "", 0, false
		}
		var fit []string
		for _, c := range commands {
			if strings.HasPrefix(c, line) {
				fit = append(fit, c)
			}
		}
		if len(fit) == 0 {
			return "", 0, false
		}
		common := slices.Min(fit)
		for last := slices.Max(fit); !strings.HasPrefix(last, common); {
			common = common[:len(common)-1]
		}
		if len(fit) == 1 {
			common += " "
		}
		return common, len(common), true
	}
}
