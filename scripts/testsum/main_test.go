package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name   string
		events []event
		want   string // the last line
		has    string
	}{
		{name: "nothing", want: "0 passed, 0 failed, 0 skipped"},
		{
			name: "only tests without subtests count",
			events: []event{
				{Action: "pass", Package: "p", Test: "TestA/x"},
				{Action: "pass", Package: "p", Test: "TestA/y"},
				{Action: "pass", Package: "p", Test: "TestA"},
				{Action: "pass", Package: "p", Test: "TestB"},
				{Action: "pass", Package: "p"},
			},
			want: "3 passed, 0 failed, 0 skipped",
		},
		{
			name: "a failed subtest counts once",
			events: []event{
				{Action: "output", Package: "p", Test: "TestA/x/deep", Output: "    a_test.go:3: no good\n"},
				{Action: "fail", Package: "p", Test: "TestA/x/deep"},
				{Action: "fail", Package: "p", Test: "TestA/x"},
				{Action: "fail", Package: "p", Test: "TestA"},
				{Action: "fail", Package: "p"},
			},
			want: "0 passed, 1 failed, 0 skipped",
			has:  "FAILED: p TestA/x/deep\n        a_test.go:3: no good",
		},
		{
			name: "a test that fails after its subtests passed counts",
			events: []event{
				{Action: "pass", Package: "p", Test: "TestA/x"},
				{Action: "fail", Package: "p", Test: "TestA"},
				{Action: "fail", Package: "p"},
			},
			want: "1 passed, 1 failed, 0 skipped",
		},
		{
			name: "a skipped test says why",
			events: []event{
				{Action: "output", Package: "p", Test: "TestA", Output: "=== RUN   TestA\n"},
				{Action: "output", Package: "p", Test: "TestA", Output: "    lab_test.go:60: no TUN: run as root\n"},
				{Action: "output", Package: "p", Test: "TestA", Output: "--- SKIP: TestA (0.00s)\n"},
				{Action: "skip", Package: "p", Test: "TestA"},
				{Action: "skip", Package: "no tests here"},
			},
			want: "0 passed, 0 failed, 1 skipped",
			has:  "skipped: p TestA: no TUN: run as root\n",
		},
		{
			name: "a test that never ended failed",
			events: []event{
				{Action: "output", Package: "p", Test: "TestA", Output: "panic: oh\n"},
				{Action: "fail", Package: "p"},
			},
			want: "0 passed, 1 failed, 0 skipped",
			has:  "panic: oh",
		},
		{
			name: "a package that does not build",
			events: []event{
				{Action: "build-output", ImportPath: "p [p.test]", Output: "a.go:1: syntax error\n"},
				{Action: "build-fail", ImportPath: "p [p.test]"},
				{Action: "fail", Package: "p", FailedBuild: "p [p.test]"},
			},
			want: "0 passed, 1 failed, 0 skipped",
			has:  "FAILED: p\n    a.go:1: syntax error",
		},
		{
			name:   "commands count as tests",
			events: []event{{Action: "pass", Test: "lint gofmt"}, {Action: "fail", Test: "lint vet"}},
			want:   "1 passed, 1 failed, 0 skipped",
			has:    "FAILED: lint vet",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var in, out strings.Builder
			for _, e := range tt.events {
				if err := json.NewEncoder(&in).Encode(e); err != nil {
					t.Fatal(err)
				}
			}
			s, err := summarise(strings.NewReader(in.String()))
			if err != nil {
				t.Fatal(err)
			}
			s.print(&out)
			if !strings.HasSuffix("\n"+out.String(), "\n"+tt.want+"\n") || !strings.Contains(out.String(), tt.has) {
				t.Errorf("got\n%s\nwant %q and at the end %q", out.String(), tt.has, tt.want)
			}
		})
	}
}

func TestCommandRecordsFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	for _, args := range [][]string{
		{path, "run", "good", "true"},
		{path, "run", "bad", "sh", "-c", "echo reason; exit 3"},
		{path, "run", "missing", "/no/such/program"},
		{path, "go", "go", "test", "-json", "./no/such/package"},
		{path, "skip", "kvm", "no /dev/kvm"},
	} {
		if err := run(args); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := summarise(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s.print(&out)
	for _, want := range []string{"skipped: kvm: no /dev/kvm", "    reason\n", "1 passed, 3 failed, 1 skipped\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// The end of the time is no failure; an input found in the same moment is one.
func TestTimeUp(t *testing.T) {
	const upTo = "fuzz: elapsed: 3s, execs: 4559 (0/sec), new interesting: 1 (total: 52)\n--- FAIL: FuzzQuote (3.09s)\n"
	for output, want := range map[string]bool{
		upTo + "    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tvnetkit/remote\t3.093s\n":                                                  true,
		upTo + "    --- FAIL: FuzzQuote (0.00s)\n        words_test.go:67: no\n    \n    Failing input written to testdata/fuzz/FuzzQuote/1\nFAIL\n": false,
		upTo + "    fuzzing process hung or terminated unexpectedly: exit status 2\n    context deadline exceeded\nFAIL\n":                           false,
		upTo + "    words_test.go:67: context deadline exceeded\nFAIL\n":                                                                             false,
	} {
		if got := timeUp.MatchString(output); got != want {
			t.Errorf("%v for\n%s", got, output)
		}
		path := filepath.Join(t.TempDir(), "events")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r := recorder{enc: json.NewEncoder(file), screen: io.Discard}
		if err := errors.Join(r.note(attempt(timeUp, "fuzz", []string{"sh", "-c", `printf %s "$1"; exit 1`, "", output})), file.Close()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), `"Action":"pass"`); got != want {
			t.Errorf("recorded: %s", text)
		}
	}
}

func TestTargets(t *testing.T) {
	dir := t.TempDir()
	for path, text := range map[string]string{
		"a/a_test.go":          "package a\n\nfunc FuzzOne(f *testing.F) {}\nfunc FuzzTwo(f *testing.F) {}\n",
		"a/a.go":               "package a\n\nfunc FuzzNotATest(f *testing.F) {}\n",
		".cache/b/b_test.go":   "package b\n\nfunc FuzzHidden(f *testing.F) {}\n",
		"c/testdata/c_test.go": "package c\n\nfunc FuzzData(f *testing.F) {}\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := targets(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].name != "FuzzOne" || list[1].name != "FuzzTwo" {
		t.Errorf("found %v", list)
	}
}

// Each target is run, whatever becomes of the others.
func TestFuzz(t *testing.T) {
	t.Chdir(t.TempDir())
	const text = "package m\n\nimport \"testing\"\n\nfunc FuzzGood(f *testing.F) { f.Fuzz(func(*testing.T, []byte) {}) }\n" +
		"func FuzzBad(f *testing.F) { f.Fuzz(func(t *testing.T, _ []byte) { t.Error(\"found\") }) }\n" +
		"func FuzzToo(f *testing.F) { f.Fuzz(func(*testing.T, uint8) {}) }\n"
	for path, text := range map[string]string{"go.mod": "module m\n", "m_test.go": text} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := run([]string{"events", "fuzz", "10x"}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("events")
	if err != nil {
		t.Fatal(err)
	}
	s, err := summarise(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s.print(&out)
	if !strings.HasSuffix(out.String(), "\n2 passed, 1 failed, 0 skipped\n") || !strings.Contains(out.String(), "FAILED: fuzz ./. FuzzBad") {
		t.Errorf("%s\nwant two that pass, and FuzzBad", &out)
	}
}
