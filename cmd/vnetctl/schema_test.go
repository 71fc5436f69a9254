package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/openapi"
)

//go:generate go test . -count=1 -run ^TestGenerated -update

const schemaDir = "../../docs/schema"

// answers says what each verb prints with --json; nil: nothing, or no JSON. A
// verb that is missing here fails TestGeneratedSchemas.
var answers = map[string]any{
	"":            statusScreen{},
	"capture":     captured{}, // at its end
	"config diff": configDiffAnswer{},
	"config save": configSaveAnswer{},
	"config show": api.Config{},
	"exec":        execAnswer{},
	"fdb":         api.FDB{},
	"fdb add":     api.FDBEntry{},
	"fdb del":     api.Removed{},
	"fdb flush":   api.Removed{},
	"fdb show":    api.FDB{},
	"graph":       graph{},
	"info":        api.Info{},
	"list":        listOfSwitches{},
	"mirror":      mirrorList{},
	"mirror set":  api.Port{},
	"mirror show": mirrorList{},
	"monitor":     api.Event{},
	"port add":    api.Added{},
	"port set":    api.Port{},
	"ports":       api.Ports{},
	"reload":      api.Reloaded{},
	"stats":       statsAnswer{},
	"stp":         api.SpanningTree{},
	"stp set":     api.SpanningTree{},
	"stp show":    api.SpanningTree{},
	"top":         statsAnswer{},
	"trace":       api.Trace{},
	"vlan":        vlanList{},
	"vlan add":    api.Ports{},
	"vlan del":    api.Ports{},
	"vlan set":    api.Port{},
	"vlan show":   vlanList{},

	"cancel":        changeAnswer{},
	"cancel bridge": changeAnswer{},
	"cancel switch": changeAnswer{},
	"cancel tap":    changeAnswer{},
	"check":         checkAnswer{},
	"confirm":       decisionAnswer{},
	"create":        changeAnswer{},
	"create bridge": changeAnswer{},
	"create switch": changeAnswer{},
	"create tap":    changeAnswer{},
	"listall":       listOfSwitches{},
	"recover":       decisionAnswer{},
	"restore":       restoreAnswer{},

	"config": nil, "console": nil, "link": nil, "mirror clear": nil, "port": nil, "port down": nil, "port remove": nil, "port up": nil,
}

// schemaFile is a schema of its own.
type schemaFile struct {
	Dialect string                     `json:"$schema"`
	Title   string                     `json:"title"`
	Ref     string                     `json:"$ref"`
	Defs    map[string]*openapi.Schema `json:"$defs"`
}

// schemaOf is the schema of v, and what it refers to.
func schemaOf(t *testing.T, v any) (*openapi.Schemas, *openapi.Schema) {
	t.Helper()
	s := openapi.NewSchemas("#/$defs/")
	for pkg, dir := range map[string]string{"vnetkit/mgmt/api": "../../mgmt/api", "vnetkit/mgmt/client": "../../mgmt/client", "vnetkit/cmd/vnetctl": "."} {
		if err := s.Comments(pkg, dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range append(api.Codes(), "usage") {
		s.Enums[reflect.TypeFor[api.Code]()] = append(s.Enums[reflect.TypeFor[api.Code]()], string(c))
	}
	schema, err := s.Of(reflect.TypeOf(v))
	if err != nil {
		t.Fatal(err)
	}
	return s, schema
}

// verbs lists all commands by their path behind vnetctl.
func verbs(cmd *cobra.Command) (list []string) {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	list = append(list, path)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
			list = append(list, verbs(sub)...)
		}
	}
	return list
}

// docs/schema has what --json prints, and nothing else.
func TestGeneratedSchemas(t *testing.T) {
	want := map[string][]byte{}
	file := func(name, title string, v any) {
		s, schema := schemaOf(t, v)
		text, err := openapi.Encode(schemaFile{"https://json-schema.org/draft/2020-12/schema", title, schema.Ref, s.Defs})
		if err != nil {
			t.Fatal(err)
		}
		want[name+".json"] = text
	}
	file("error", "what vnetctl --json writes to standard error when it fails", api.Failure{})
	file("remote", "what every verb of vnetctl prints with -r and --json: such an object for each host, each on a line", hostAnswer{})
	listed := verbs((&app{}).rootCommand())
	for _, verb := range listed {
		v, ok := answers[verb]
		if !ok {
			t.Errorf("vnetctl %s has no line in cmd/vnetctl/schema_test.go, which says what it prints with --json", verb)
		}
		if v == nil {
			continue
		}
		name := strings.ReplaceAll(verb, " ", "-")
		if verb == "" {
			name = "status"
		}
		file(name, strings.Join(strings.Fields("vnetctl "+verb+" --json"), " "), v)
	}
	for verb := range answers {
		if !slices.Contains(listed, verb) {
			t.Errorf("there is no verb %q", verb)
		}
	}
	sameFiles(t, schemaDir, want)
}

// sameFiles checks that a directory has these files and no others, or writes
// it with -update.
func sameFiles(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Errorf("%s has %d files, want %d (%v): make gen", dir, len(entries), len(want), err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s/%s is out of date (%v): make gen", dir, name, err)
		}
	}
}

// What verbs print is what the schemas say, down to each field.
func TestJSONOutputs(t *testing.T) {
	s := busySwitch(t)
	openConsole(t, s)
	s.Plug()
	done := map[string]bool{}
	for _, line := range []string{
		"port set|port1 name=vm1", "port add|stream:unix:DIR/far,connect=on,name=far", "vlan set|vm1 10", "vlan add|20 vm1", "vlan del|20 vm1", "vlan|", "vlan show|10",
		"mirror set|port3 vm1", "mirror|", "mirror show|", "fdb add|02:00:00:00:00:aa vm1", "fdb|", "fdb show|", "fdb del|02:00:00:00:00:aa", "fdb flush|",
		"exec|port/print", "|", "info|", "ports|", "stats|--interval 1ns", "stats|--interval 0", "top|-n 1 --interval 100ms", "monitor|--since 0 --follow=false", "list|", "list|--interval 0", "listall|", "graph|", "graph|--interval 0", "trace|vm1 arp", "stp set|mode=rstp", "stp|", "stp show|", "ports|",
	} {
		verb, args, _ := strings.Cut(line, "|")
		done[verb] = true
		out, stderr, code := vnetctl(t, s, append(strings.Fields(verb+" "+strings.ReplaceAll(args, "DIR", s.Dir)), "--json")...)
		if code != 0 || out == "" {
			t.Errorf("%s: exit %d: %s", line, code, stderr)
			continue
		}
		lines := []string{out}
		if verb == "monitor" || verb == "top" {
			lines = slices.Collect(strings.Lines(out))
		}
		schemas, schema := schemaOf(t, answers[verb])
		for _, text := range lines {
			for _, f := range schemas.Check(schema, []byte(text)) {
				t.Errorf("%s: %s in %s", line, f, text)
			}
		}
	}
	for verb, v := range answers {
		if v != nil && !done[verb] && !elsewhere[verb] {
			t.Errorf("vnetctl %s --json was not tried", verb)
		}
	}
	schemas, schema := schemaOf(t, api.Failure{})
	for _, args := range []string{"prots --json", "ports nosuch --json", "vlan set 1 x --json"} {
		_, stderr, code := vnetctl(t, s, strings.Fields(args)...)
		if faults := schemas.Check(schema, []byte(stderr)); code == 0 || faults != nil {
			t.Errorf("%s: exit %d: %q in %s", args, code, faults, stderr)
		}
	}
}

// elsewhere are verbs that other tests hold against their schema.
var elsewhere = map[string]bool{"capture": true, "config diff": true, "config save": true, "config show": true, "reload": true,
	"create": true, "create bridge": true, "create tap": true, "create switch": true, "cancel": true, "cancel bridge": true, "cancel tap": true, "cancel switch": true,
	"check": true, "confirm": true, "recover": true, "restore": true}

// configDiffAnswer is what config diff --json prints.
type configDiffAnswer struct {
	File        string   `json:"file"`
	Differences []string `json:"differences"` // each begins with "+ ", "- " or "~ "
	Overridden  []string `json:"overridden"`  // what of the file the daemon's command line overrules
}

// configSaveAnswer is what config save --json prints.
type configSaveAnswer struct {
	File    string   `json:"file"`
	Changed bool     `json:"changed"`
	New     bool     `json:"new"`  // there was no such file
	Lost    []string `json:"lost"` // comments that could not stay
}
