package remote

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	maxNesting = 15      // of groups in groups, as in ctys
	maxFile    = 1 << 20 // bytes of a file of groups or macros
	maxRead    = 1024    // group files for one list
)

// ErrNoGroup is for a group that has no file.
var ErrNoGroup = errors.New("there is no such group")

// ErrCycle is for a group that is in itself.
var ErrCycle = errors.New("the group is in itself")

// Names lists the groups that there are.
func (b Book) Names() (names []string) {
	for _, dir := range b.Groups {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // what cannot be read has no groups
			name, relErr := filepath.Rel(dir, path)
			switch {
			case err != nil || relErr != nil || len(names) >= maxRead:
				return fs.SkipDir
			case !d.IsDir() && checkGroup(name) == nil && !slices.Contains(names, name):
				names = append(names, name)
			}
			return nil
		})
	}
	slices.Sort(names)
	return names
}

// checkGroup keeps a name inside of the directories of groups.
func checkGroup(name string) error {
	if err := checkWord("group", name, "._-+/"); err != nil {
		return err
	}
	if !filepath.IsLocal(name) || name != filepath.Clean(name) || strings.HasPrefix(filepath.Base(name), ".") {
		return fmt.Errorf("group %q: that is no name of a file in a directory of groups", name)
	}
	return nil
}

// bareGroup reads the members of item if that is a group's name. A group may
// have a member that is called as itself: that is a host.
func (r *reader) bareGroup(item string) (found bool, err error) {
	if checkGroup(item) != nil || len(r.stack) > 0 && r.stack[len(r.stack)-1] == item {
		return false, nil
	}
	text, path, err := readFirst(r.book.Groups, item)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.Contains(item, "/"):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return true, r.noGroup(item)
	case err != nil:
		return true, fmt.Errorf("group %q: %w", item, err)
	}
	return true, r.enter(item, text, path)
}

func (r *reader) noGroup(name string) error {
	return fmt.Errorf("group %q: %w in %s", name, ErrNoGroup, strings.Join(r.book.Groups, ", "))
}

// group reads the members of what was called a group.
func (r *reader) group(name string) error {
	if err := checkGroup(name); err != nil {
		return err
	}
	text, path, err := readFirst(r.book.Groups, name)
	if errors.Is(err, fs.ErrNotExist) {
		return r.noGroup(name)
	}
	if err != nil {
		return fmt.Errorf("group %q: %w", name, err)
	}
	return r.enter(name, text, path)
}

// enter reads the file of a group.
func (r *reader) enter(name, text, path string) error {
	switch {
	case slices.Contains(r.stack, name):
		return fmt.Errorf("group %q: %w: %s", name, ErrCycle, strings.Join(append(r.stack, name), " -> "))
	case len(r.stack) == maxNesting:
		return fmt.Errorf("group %q: groups in groups, more than %d deep: %s", name, maxNesting, strings.Join(r.stack, " -> "))
	case r.files == maxRead:
		return fmt.Errorf("group %q: more than %d group files for one list", name, maxRead)
	}
	r.files++
	r.stack = append(r.stack, name)
	defer func() { r.stack = r.stack[:len(r.stack)-1] }()
	return r.members(text, path)
}

// members reads a group file: hosts and groups between white space or commas,
// "#include a,b" for other groups, and comments.
func (r *reader) members(text, path string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		where := fmt.Sprintf("%s:%d", path, n)
		line = strings.TrimSpace(line)
		if names, ok := strings.CutPrefix(line, "#include"); ok && names != "" && (names[0] == ' ' || names[0] == '\t') {
			for _, name := range strings.FieldsFunc(names, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
				if err := r.group(strings.TrimPrefix(name, "@")); err != nil {
					return fmt.Errorf("%s: %w", where, err)
				}
			}
			continue
		}
		if i := strings.IndexByte(line, '#'); i == 0 || i > 0 && (line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
		}
		if err := r.list(line, where); err != nil {
			return err
		}
	}
	return nil
}

// readFirst reads the first regular file of a name in dirs.
func readFirst(dirs []string, name string) (text, path string, err error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		fi, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !fi.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return "", path, err
		}
		text, err := readFile(path)
		return text, path, err
	}
	return "", "", fs.ErrNotExist
}

// readFile reads a short text.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	return string(b), err
}
