package remote

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxHosts is how many hosts a list may have.
const MaxHosts = 4096

// maxRanges is how many ranges a name may have.
const maxRanges = 5

// Book is where groups and macros are looked up.
type Book struct {
	Groups []string // directories of group files, the first one that has a file wins
	Macros []string // directories of macro files, likewise
}

// DefaultBook is the book of a user: his own files, then those of ctys.
func DefaultBook(getenv func(string) string) Book {
	config := getenv("XDG_CONFIG_HOME")
	if config == "" && getenv("HOME") != "" {
		config = getenv("HOME") + "/.config"
	}
	var b Book
	if strings.HasPrefix(config, "/") {
		b.Groups, b.Macros = []string{config + "/vnetkit/groups"}, []string{config + "/vnetkit/macros"}
	}
	for _, more := range []struct {
		dirs           *[]string
		path, fallback string
	}{{&b.Groups, "CTYS_GROUPS_PATH", "/.ctys/groups"}, {&b.Macros, "CTYS_MACRO_PATH", "/.ctys/macros"}} {
		path := getenv(more.path)
		if path == "" && getenv("HOME") != "" {
			path = getenv("HOME") + more.fallback
		}
		for dir := range strings.SplitSeq(path, ":") {
			if strings.HasPrefix(dir, "/") { // what "" or "." means depends on where one stands
				*more.dirs = append(*more.dirs, dir)
			}
		}
	}
	return b
}

// Hosts reads a list of hosts: items between commas or white space, each of them
// [user@]host[:port], such a host with ranges (node[01-20]), @group, or the bare
// name of a group if there is a file of this name. A host that comes twice is
// taken once. user is for those that name none.
func (b Book) Hosts(text, user string) ([]Host, error) {
	if user != "" {
		if err := checkWord("user", user, "._-+@"); err != nil {
			return nil, err
		}
	}
	r := &reader{book: b, user: user, seen: map[Host]bool{}}
	if err := r.list(text, "the list of hosts"); err != nil {
		return nil, err
	}
	if len(r.hosts) == 0 {
		return nil, fmt.Errorf("there is no host in %q", text)
	}
	return r.hosts, nil
}

// reader is the reading of one list.
type reader struct {
	book  Book
	user  string
	hosts []Host
	seen  map[Host]bool
	stack []string // the groups that are being read, the outermost first
	files int      // that have been read
	names int      // of hosts that have been read, with those that came twice
}

// list reads text, which where names in messages.
func (r *reader) list(text, where string) error {
	text, err := r.book.expand(text)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	items, err := split(text)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, item := range items {
		if err := r.item(item); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// split divides a list at commas and white space that are not in brackets. What
// stands in parentheses behind an item are options of ctys's, which mean nothing
// here and are left away.
func split(text string) (items []string, err error) {
	var item strings.Builder
	depth, brackets := 0, 0
	flush := func() {
		if item.Len() > 0 {
			items = append(items, item.String())
			item.Reset()
		}
	}
	for _, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return nil, fmt.Errorf("a parenthesis has no other")
			}
		case depth > 0:
		case c == '[':
			brackets++
			item.WriteRune(c)
		case c == ']':
			if brackets--; brackets < 0 {
				return nil, fmt.Errorf("a bracket has no other")
			}
			item.WriteRune(c)
		case brackets == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			flush()
		default:
			item.WriteRune(c)
		}
	}
	if depth != 0 || brackets != 0 {
		return nil, fmt.Errorf("a bracket has no other")
	}
	flush()
	return items, nil
}

// item reads a host, a range or a group.
func (r *reader) item(item string) error {
	if name, ok := strings.CutPrefix(item, "@"); ok {
		return r.group(name)
	}
	if found, err := r.bareGroup(item); found || err != nil {
		return err
	}
	names, err := countOut(item)
	if err != nil {
		return err
	}
	if r.names += len(names); r.names > 4*MaxHosts {
		return fmt.Errorf("more than %d hosts, of which many come twice", MaxHosts)
	}
	for _, name := range names {
		h, err := ParseHost(name)
		if err != nil {
			return err
		}
		if h.User == "" {
			h.User = r.user
		}
		if r.seen[h] {
			continue
		}
		if len(r.hosts) == MaxHosts {
			return fmt.Errorf("more than %d hosts", MaxHosts)
		}
		r.seen[h] = true
		r.hosts = append(r.hosts, h)
	}
	return nil
}

// countOut replaces ranges by what is in them: node[01-03] are node01, node02 and
// node03, node[1,4-5] node1, node4 and node5. Brackets with a colon in them are an
// IPv6 address and stay.
func countOut(item string) ([]string, error) {
	names := []string{""}
	if strings.Count(item, "[") > maxRanges {
		return nil, fmt.Errorf("host %.40q: more than %d ranges", item, maxRanges)
	}
	for rest := item; rest != ""; {
		before, inner, found := strings.Cut(rest, "[")
		inner, after, closed := strings.Cut(inner, "]")
		if found && (!closed || strings.Contains(inner, "[")) {
			return nil, fmt.Errorf("host %q: a bracket has no other", item)
		}
		values := []string{""}
		if found {
			values = []string{"[" + inner + "]"}
			if !strings.Contains(inner, ":") {
				var err error
				if values, err = parseRange(inner); err != nil {
					return nil, fmt.Errorf("host %q: %w", item, err)
				}
			}
		}
		if len(names)*len(values) > MaxHosts {
			return nil, fmt.Errorf("host %q: more than %d hosts", item, MaxHosts)
		}
		var longer []string
		for _, name := range names {
			for _, v := range values {
				longer = append(longer, name+before+v)
			}
		}
		if len(longer[0]) > 2*longestWord {
			return nil, fmt.Errorf("host %.20q...: too long", item)
		}
		names, rest = longer, after
	}
	return names, nil
}

// parseRange reads 01-20,25.
func parseRange(text string) (values []string, err error) {
	for part := range strings.SplitSeq(text, ",") {
		lo, hi, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			hi = lo
		}
		from, err1 := strconv.ParseUint(lo, 10, 31)
		to, err2 := strconv.ParseUint(hi, 10, 31)
		switch {
		case err1 != nil || err2 != nil || len(lo) > 10:
			return nil, fmt.Errorf("%q is no range such as 01-20", part)
		case to < from:
			return nil, fmt.Errorf("range %q runs backwards", part)
		case to-from >= MaxHosts || len(values)+int(to-from) >= MaxHosts:
			return nil, fmt.Errorf("range %q: more than %d hosts", part, MaxHosts)
		}
		for n := from; n <= to; n++ {
			values = append(values, fmt.Sprintf("%0*d", len(lo), n))
		}
	}
	return values, nil
}
