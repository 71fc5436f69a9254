package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"vnetkit/mgmt/config"
)

// configOptions is what the command line says about the config file, and what
// file and command line say together.
type configOptions struct {
	file   string // absolute; "": none
	check  bool   // check it and leave
	wanted *config.Config
	load   func() (*config.Config, error) // reads it all again
}

// flagOf is the flag of a key of the file; all others are called alike.
func flagOf(key string) string {
	if key == "dir" {
		return "sock"
	}
	return key
}

func (o *options) configFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config.file, "config", "", "read settings and ports from `FILE` too (TOML; docs/vswitch.toml shows one); what the command line says wins")
	f.BoolVar(&o.config.check, "check", false, "check the config file without opening anything, list all mistakes, and leave")
}

// readConfig lays the command line over the config file: what the file says and
// the command line does not is put into the flags.
func (o *options) readConfig(f *pflag.FlagSet, args []string) error {
	c := config.New("")
	if o.config.file == "" {
		if o.config.check {
			return errors.New("--check needs --config FILE")
		}
		o.config.wanted = c
		return nil
	}
	path, err := filepath.Abs(o.config.file)
	if err != nil {
		return fmt.Errorf("--config %s: %w", o.config.file, err)
	}
	if c, err = config.Read(path, config.Known{Kinds: kinds, Group: checkGroup}); err != nil {
		return err
	}
	o.config.file, o.config.wanted = path, c
	o.config.load = func() (*config.Config, error) {
		again, err := parseArgs(args, o.vde.is)
		return again.config.wanted, err
	}
	for _, key := range c.Given() {
		flag := f.Lookup(flagOf(key))
		given := flag
		if name := f.Lookup("name"); key == "dir" && name.Changed {
			given = name
		}
		if given.Changed {
			o.overruled("--%s %s wins over %s = %s in line %d of %s", given.Name, given.Value, key, c.Value(key), c.Line(key), c.File)
			continue
		}
		if err := flag.Value.Set(c.Value(key)); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", c.File, c.Line(key), key, err)
		}
	}
	return o.readPorts(f)
}

// readPorts lays --port-default and --port over the file's ports.
func (o *options) readPorts(f *pflag.FlagSet) error {
	c := o.config.wanted
	if f.Changed("port-default") {
		if len(c.Default) > 0 {
			o.overruled("--port-default %s wins over [port-default] in %s", o.defaults, c.File)
		}
		if err := c.PutDefault(o.defaults); err != nil {
			return fmt.Errorf("--port-default %s: %w", o.defaults, err)
		}
	}
	o.defaults = c.DefaultText()
	for _, spec := range o.ports {
		instead, err := c.AddSpec(spec)
		if err != nil {
			return fmt.Errorf("--port %s: %w", spec, err)
		}
		for _, p := range instead {
			o.overruled("--port %s wins over the [[port]] in line %d of %s", spec, p.Line(), c.File)
		}
	}
	o.ports = c.Specs()
	c.CheckCables(o.stp.mode != "off")
	return c.Check()
}

func (o *options) overruled(format string, args ...any) {
	c := o.config.wanted
	c.Overrides = append(c.Overrides, fmt.Sprintf(format, args...))
}

// settle notes in the wanted configuration what has become of the flags.
func (o *options) settle(f *pflag.FlagSet) {
	c := o.config.wanted
	hasDir := slices.Contains(c.Given(), "dir")
	for _, key := range config.Keys() {
		if key != "dir" {
			c.Put(key, f.Lookup(key).Value.String())
		} else if hasDir {
			c.Put(key, o.dir)
		}
	}
}

func checkGroup(name string) error {
	_, err := lookupGroup(name)
	return err
}

// reportCheck says what a good file has in it.
func (c *configOptions) reportCheck(w io.Writer) {
	for _, text := range c.wanted.Overrides {
		fmt.Fprintln(w, text)
	}
	fmt.Fprintf(w, "%s: no mistakes; ports and doors: %d, static addresses: %d\n", c.file, len(c.wanted.Ports), len(c.wanted.FDB))
}

// listMistakes prints what is wrong with a config file, one mistake a line, and
// tells whether that is what err is about.
func listMistakes(err error) bool {
	var bad config.Mistakes
	if !errors.As(err, &bad) {
		return false
	}
	fmt.Fprintln(os.Stderr, bad)
	count := "1 mistake"
	if len(bad) > 1 {
		count = fmt.Sprintf("%d mistakes", len(bad))
	}
	fmt.Fprintf(os.Stderr, "vswitch: %s in the config file; nothing was opened\n", count)
	return true
}
