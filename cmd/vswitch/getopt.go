package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// vde_switch reads its command line with getopt_long_only(3): long options with
// one dash or two, abbreviated as long as they stay unambiguous, arguments behind
// "=" or in the next word, letters in one word (-dx). Scripts use all of it. This
// file turns such a command line into one that our own flags understand, each
// option as --name or --name=value; package pflag does the rest.

// option is something that the command line can say.
type option struct {
	name string // long, without dashes
	arg  bool   // has an argument
	flag string // of ours that it is
	ours bool   // vde_switch does not have it: abbreviations mean it last
}

// grammar is what a command line can say. Letters are options without a name.
type grammar struct {
	long    []option
	letters map[byte]option
	vde     bool // we are called vde_switch
}

// aliases are further names of flags.
var aliases = []struct{ name, flag string }{
	{"vdesock", "sock"}, {"unix", "sock"}, {"mod", "mode"},
}

// vdeNames are the long options of vde_switch, but for the aliases.
var vdeNames = strings.Fields("help version numports hub fstp macaddr priority hashsize sock mode dirmode group daemon pidfile rcfile mgmt mgmtmode mgmtgroup debugclients nostdin tap")

// newGrammar is the grammar of flags f.
func newGrammar(f *pflag.FlagSet, vde bool) grammar {
	g := grammar{letters: map[byte]option{}, vde: vde}
	f.VisitAll(func(fl *pflag.Flag) {
		o := option{name: fl.Name, arg: fl.NoOptDefVal == "", flag: fl.Name, ours: !slices.Contains(vdeNames, fl.Name)}
		g.long = append(g.long, o)
		if fl.Shorthand != "" {
			g.letters[fl.Shorthand[0]] = o
		}
	})
	for _, a := range aliases {
		g.long = append(g.long, option{name: a.name, arg: true, flag: a.flag})
	}
	if vde { // two letters mean something else there
		g.letters['p'] = option{arg: true, flag: "pidfile"}
		g.letters['v'] = option{flag: "version"}
	}
	return g
}

// translate turns args into flags of ours. What is no option comes last, behind
// "--".
func (g grammar) translate(args []string) ([]string, error) {
	var flags, rest []string
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var out []string
		var err error
		switch {
		case word == "--":
			rest, args = append(rest, args...), nil
			continue
		case len(word) < 2 || word[0] != '-':
			rest = append(rest, word)
			continue
		case strings.HasPrefix(word, "--"):
			out, args, err = g.longOption("--", word[2:], args)
		default:
			out, args, err = g.oneDash(word[1:], args)
		}
		if err != nil {
			return nil, err
		}
		flags = append(flags, out...)
	}
	if len(rest) > 0 {
		flags = append(append(flags, "--"), rest...)
	}
	return flags, nil
}

// oneDash reads what stands behind a single dash: a letter, else a long option if
// there is one, else letters.
func (g grammar) oneDash(text string, args []string) ([]string, []string, error) {
	_, letter := g.letters[text[0]]
	pflagged := !g.vde && len(text) > 1 && text[1] == '=' // -s=DIR, as pflag has it
	if (len(text) > 1 || !letter) && !(letter && pflagged) {
		name, _, _ := strings.Cut(text, "=")
		if found := g.find(name); len(found) > 0 || !letter {
			return g.longOption("-", text, args)
		}
	}
	var out []string
	for text != "" {
		o, ok := g.letters[text[0]]
		if !ok {
			return nil, nil, fmt.Errorf("invalid option -- '%c'", text[0])
		}
		letter, value := text[0], text[1:]
		if !o.arg {
			out, text = append(out, "--"+o.flag), value
			continue
		}
		if value == "" {
			if len(args) == 0 {
				return nil, nil, fmt.Errorf("option requires an argument -- '%c'", letter)
			}
			value, args = args[0], args[1:]
		} else if pflagged {
			value = strings.TrimPrefix(value, "=")
		}
		if letter == 'p' && o.flag == "port" && isPidfile(value) {
			o.flag = "pidfile"
		}
		return append(out, g.flag(o, value)), args, nil
	}
	return out, args, nil
}

// isPidfile tells whether -p means vde_switch's and not ours: a SPEC begins with a
// kind and a colon, and no kind has a slash in it.
func isPidfile(value string) bool {
	before, _, _ := strings.Cut(value, ":")
	return strings.ContainsRune(before, '/')
}

// longOption reads name or name=value.
func (g grammar) longOption(dashes, text string, args []string) ([]string, []string, error) {
	name, value, has := strings.Cut(text, "=")
	found := g.find(name)
	switch len(found) {
	case 0:
		return nil, nil, fmt.Errorf("unrecognized option '%s%s'", dashes, name)
	case 1:
	default:
		list := ""
		for _, o := range found {
			list += " '" + dashes + o.name + "'"
		}
		return nil, nil, fmt.Errorf("option '%s%s' is ambiguous; possibilities:%s", dashes, name, list)
	}
	o := found[0]
	switch {
	case !o.arg && has:
		if _, err := strconv.ParseBool(value); err != nil {
			return nil, nil, fmt.Errorf("option '%s%s' doesn't allow an argument", dashes, o.name)
		}
		return []string{"--" + o.flag + "=" + value}, args, nil
	case !o.arg:
		return []string{"--" + o.flag}, args, nil
	case !has && len(args) == 0:
		return nil, nil, fmt.Errorf("option '%s%s' requires an argument", dashes, o.name)
	case !has:
		value, args = args[0], args[1:]
	}
	return []string{g.flag(o, value)}, args, nil
}

// find lists what a name can mean: the option that is called so, or else those of
// vde_switch that it abbreviates, or else those of ours.
func (g grammar) find(name string) []option {
	if name == "" {
		return nil
	}
	var theirs, ours []option
	for _, o := range g.long {
		switch {
		case o.name == name:
			return []option{o}
		case !strings.HasPrefix(o.name, name):
		case o.ours:
			ours = append(ours, o)
		default:
			theirs = append(theirs, o)
		}
	}
	if len(theirs) > 0 {
		return theirs
	}
	return ours
}

// flag is our flag for an option with an argument.
func (g grammar) flag(o option, value string) string {
	if o.flag == "tap" {
		return "--port=tap:" + strings.ReplaceAll(value, ",", ",,")
	}
	return "--" + o.flag + "=" + value
}
