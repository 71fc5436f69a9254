package main

import (
	"cmp"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vnetkit/remote"
	"vnetkit/remote/shell"
)

// remoteFlags say on which hosts a verb is carried out, and how they are reached.
type remoteFlags struct {
	list     string // -r
	login    string // -l
	ssh      string
	parallel int
	push     bool

	far string // set on the other side: see far.go
}

const (
	defaultParallel = 16
	persist         = time.Minute // connections wait so long for the next run
	hostLimit       = 30 * time.Second
)

func (f *remoteFlags) register(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVarP(&f.list, "remote", "r", "", "do it on these `HOSTS`: [user@]host[:port], node[01-20], @group, with commas")
	flags.StringVarP(&f.login, "login", "l", "", "`USER` to log in as where -r names none")
	flags.IntVar(&f.parallel, "parallel", defaultParallel, "`N` hosts at a time")
	flags.StringVar(&f.ssh, "ssh", "", "the ssh `COMMAND`, with options (default VNETCTL_SSH, or ssh)")
	flags.BoolVar(&f.push, "push", false, "bring this version to hosts that have none or another")
	flags.StringVar(&f.far, "far", "", "")
	_ = flags.MarkHidden("far")
	_ = root.RegisterFlagCompletionFunc("remote", completeHosts)
}

// nearFlags are not passed on to the other side.
var nearFlags = map[string]bool{"remote": true, "login": true, "parallel": true, "ssh": true, "push": true, "far": true, "all-or-none": true}

// completeHosts completes the last item of a list of hosts with groups.
func completeHosts(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := word[:strings.LastIndexByte(word, ',')+1]
	var list []cobra.Completion
	for _, name := range remote.DefaultBook(os.Getenv).Names() {
		list = append(list, before+"@"+name)
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// reach is the ssh that the flags and the environment name.
func (f *remoteFlags) reach() (*remote.SSH, error) {
	text := cmp.Or(f.ssh, os.Getenv("VNETCTL_SSH"), "ssh")
	words, err := shell.Words(text)
	if err != nil || len(words) == 0 {
		e := usage("--ssh %q is no command", text)
		if err != nil {
			e.cause = err.Error()
		}
		e.cure = "--ssh 'ssh -F FILE'"
		return nil, e
	}
	s := &remote.SSH{Command: words, Persist: persist}
	if s.Dir, err = remote.ControlDir(os.Getenv); err != nil {
		s.Dir = "" // each run makes a connection of its own
	}
	return s, nil
}

// hosts reads -r.
func (f *remoteFlags) hosts(text string) ([]remote.Host, error) {
	book := remote.DefaultBook(os.Getenv)
	hosts, err := book.Hosts(text, f.login)
	if err == nil {
		return hosts, nil
	}
	e := usage("-r %s: these are no hosts", text)
	e.cause, e.cure = err.Error(), "-r host1,user@host2:22,node[01-20],@group"
	if errors.Is(err, remote.ErrNoGroup) && len(book.Groups) > 0 {
		e.cure = "write its hosts into " + book.Groups[0] + "/GROUP, one a line"
	}
	return nil, e
}

// cutTarget divides HOST:NAME, where HOST is as in -r and NAME as in -s. What has
// a slash in front of the colon is the path of a switch on this host.
func cutTarget(text string) (host, name string, ok bool) {
	rest := text
	if i := strings.IndexByte(rest, ']'); i >= 0 { // an IPv6 address
		host, rest = rest[:i+1], rest[i+1:]
	}
	before, name, ok := strings.Cut(rest, ":")
	if !ok || host+before == "" || strings.Contains(host+before, "/") {
		return "", "", false
	}
	host += before
	if port, after, more := strings.Cut(name, ":"); more && port != "" && strings.Trim(port, "0123456789") == "" {
		host, name = host+":"+port, after
	}
	return host, name, true
}

// target finds HOST:NAME in -s, or in the first argument of a verb that takes it
// there, and moves it to -r and -s.
func (a *app) target(cmd *cobra.Command, args []string) ([]string, error) {
	text := a.where
	inArgs := len(args) > 0 && (cmd.CommandPath() == "vnetctl console" || cmd.CommandPath() == "vnetctl capture" && cmd.ArgsLenAtDash() != 0)
	if inArgs {
		if _, _, ok := cutTarget(args[0]); ok {
			if a.where != "" {
				return nil, usage("%s-s %s and %s both name a switch", prefix(cmd), a.where, args[0])
			}
			text, args = args[0], args[1:]
		}
	}
	host, name, ok := cutTarget(text)
	if !ok {
		return args, nil
	}
	if a.remote.list != "" {
		return nil, usage("%s-r %s and %s both name a host", prefix(cmd), a.remote.list, text)
	}
	if cmd.CommandPath() == "vnetctl capture" && len(args) == 0 {
		e := usage("capture: no port is given")
		e.cause, e.cure = text+" is the switch", "vnetctl capture "+text+" all"
		return nil, e
	}
	a.remote.list, a.where = host, name
	return args, nil
}

// farWords are the verb and its flags and arguments for the other side.
func (a *app) farWords(cmd *cobra.Command, args []string) []string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	words := strings.Fields(path)
	if a.where != "" {
		words = append(words, "--switch="+a.where)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { // those that were given
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			for _, text := range v.GetSlice() {
				words = append(words, "--"+f.Name+"="+text)
			}
		default:
			if !nearFlags[f.Name] && f.Name != "switch" {
				words = append(words, "--"+f.Name+"="+f.Value.String())
			}
		}
	})
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		dash = max(dash-(cmd.Flags().NArg()-len(args)), 0) // the target has gone
		return append(append(append(words, args[:dash]...), "--"), args[dash:]...)
	}
	return append(words, args...)
}
