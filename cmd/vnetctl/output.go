package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

// form is how a table is printed: the value of -o.
type form string

const (
	formTable form = "table" // or nothing
	formWide  form = "wide"
	formName  form = "name"
)

var forms = []string{string(formTable), string(formWide), string(formName)}

func (f *form) String() string {
	if *f == "" {
		return string(formTable)
	}
	return string(*f)
}

// Set makes form a flag's value.
func (f *form) Set(text string) error {
	if !slices.Contains(forms, text) {
		return errors.New("no such form")
	}
	*f = form(text)
	return nil
}

// Type is what flagError knows it by.
func (f *form) Type() string { return "form" }

// outputs gives a verb that prints a table the flag -o.
func (a *app) outputs(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().VarP(&a.form, "output", "o", "table, wide (all columns) or name (names only)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// table prints t in the form that was asked for.
func (a *app) table(t *table) {
	switch a.form {
	case formName:
		for _, name := range t.names {
			fmt.Fprintln(a.out, printable(name))
		}
		return
	case formWide:
	default:
		t = t.narrow()
	}
	t.print(a.out, !a.noHeaders, a.colour)
}

// narrow is t without its wide columns.
func (t *table) narrow() *table {
	n := &table{rows: make([][]string, len(t.rows))}
	for i, c := range t.columns {
		if c.wide {
			continue
		}
		n.columns = append(n.columns, c)
		for j, row := range t.rows {
			n.rows[j] = append(n.rows[j], row[i])
		}
	}
	return n
}
