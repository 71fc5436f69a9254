package api

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParents(t *testing.T) {
	mine := t.TempDir()
	uid := os.Geteuid()
	file := filepath.Join(mine, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name       string
		uid        int
		runtimeDir string
		want       []string
	}{
		{"root", 0, mine, []string{"/run/vswitch"}},
		{"with a runtime directory", uid, mine, []string{mine + "/vswitch", "/tmp/vswitch-UID", "/run/vswitch"}},
		{"without", uid, "", []string{"/tmp/vswitch-UID", "/run/vswitch"}},
		{"one that is gone", uid, mine + "/gone", []string{"/tmp/vswitch-UID", "/run/vswitch"}},
		{"a relative one", uid, ".", []string{"/tmp/vswitch-UID", "/run/vswitch"}},
		{"somebody else's", uid + 1, mine, []string{"/tmp/vswitch-UID1", "/run/vswitch"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.uid == 0 && tc.name != "root" {
				tc.uid = 4711 // run by root: look with the eyes of somebody who owns it
				if err := os.Chown(mine, tc.uid, -1); err != nil {
					t.Fatal(err)
				}
			}
			got := parents(tc.uid, tc.runtimeDir)
			for i := range got {
				if rest, ok := strings.CutPrefix(got[i], "/tmp/vswitch-"); ok && rest != "" {
					got[i] = "/tmp/vswitch-UID"
				}
			}
			want := slices.Clone(tc.want)
			for i := range want {
				want[i] = strings.TrimSuffix(want[i], "1")
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestDefaultDir(t *testing.T) {
	for _, name := range []string{"", "default", "lab"} {
		want := name
		if want == "" {
			want = "default"
		}
		if got := DefaultDir(name); got != filepath.Join(Parents()[0], want) || !filepath.IsAbs(got) {
			t.Errorf("DefaultDir(%q) = %s", name, got)
		}
	}
}

func TestResolveDir(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	if err := os.Mkdir("here", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(work) > 80 {
		t.Skipf("the directory for tests has a long path itself: %s", work)
	}
	for _, tc := range []struct {
		in, want string
		says     string // of the error
	}{
		{in: "", want: DefaultDir("default")},
		{in: "lab", want: DefaultDir("lab")},
		{in: "a_b.c@d-1", want: DefaultDir("a_b.c@d-1")},
		{in: "file", want: DefaultDir("file")}, // not a directory, so a name
		{in: "here", want: work + "/here"},
		{in: ".", want: work},
		{in: "./new", want: work + "/new"},
		{in: "new/", want: work + "/new"},
		{in: "/srv//sw/../x", want: "/srv/x"},
		{in: "/sw dir,with=signs", want: "/sw dir,with=signs"},
		{in: "..x", says: "must not start with ."},
		{in: "-x", says: "must not start with -"},
		{in: "a b", says: `' ' is not allowed`},
		{in: "ä", says: "not allowed"},
		{in: "a\x00", says: "not allowed"},
		{in: "/a\x00", says: "NUL"},
		{in: strings.Repeat("x", 65), says: "at most 64"},
		{in: "/" + strings.Repeat("x", 100), says: "at most 107"},
	} {
		t.Run(tc.in, func(t *testing.T) {
			for _, resolve := range []func(string) (string, error){ResolveDir, FindDir} {
				got, err := resolve(tc.in)
				if tc.says == "" && (err != nil || got != tc.want) {
					t.Errorf("got %s, %v, want %s", got, err, tc.want)
				}
				if tc.says != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.says)) {
					t.Errorf("got %s, %v, want an error with %q", got, err, tc.says)
				}
			}
		})
	}
}

// The longest path that fits is the kernel's.
func TestCheckDir(t *testing.T) {
	fits := "/" + strings.Repeat("x", MaxUnixPath-1-len("/stream"))
	if err := CheckDir(fits); err != nil {
		t.Errorf("%d bytes and a door: %v", len(fits), err)
	}
	var e *Error
	if err := CheckDir(fits + "x"); !errors.As(err, &e) || !strings.Contains(e.Hint, "-s") {
		t.Errorf("one more: %v", err)
	}
}

// In /tmp anybody can make a directory with our name.
func TestCheckParent(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "vswitch-test-")
	if err != nil {
		t.Skipf("needs /tmp: %v", err)
	}
	defer os.RemoveAll(dir)
	if err := checkParent(dir); err != nil {
		t.Errorf("ours: %v", err)
	}
	if err := checkParent(dir + "-gone"); err != nil {
		t.Errorf("not there yet: %v", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := checkParent(dir); !errors.Is(err, ErrForbidden) {
		t.Errorf("anybody may write to it: %v", err)
	}
	if err := checkParent("/tmp"); err != nil {
		t.Errorf("not a directory of ours at all: %v", err)
	}
	link := dir + "-link"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	if err := checkParent(link); !errors.Is(err, ErrForbidden) {
		t.Errorf("a link: %v", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give it away
	}
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 4711, -1)); err != nil {
		t.Fatal(err)
	}
	if err := checkParent(dir); !errors.Is(err, ErrForbidden) {
		t.Errorf("somebody else's: %v", err)
	}
}
