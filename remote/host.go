package remote

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Host is where a command runs: a name that ssh understands, and perhaps who to
// log in as and on which port.
type Host struct {
	User string // "": ssh's choice
	Name string // a name of ssh's configuration, a DNS name or an address; IPv6 without brackets
	Port uint16 // 0: ssh's choice
}

// ParseHost reads [user@]host[:port], where IPv6 addresses stand in brackets if
// a port follows.
func ParseHost(text string) (Host, error) {
	var h Host
	rest := text
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		h.User, rest = rest[:i], rest[i+1:]
		if err := checkWord("user", h.User, "._-+@"); err != nil {
			return Host{}, err
		}
	}
	name, port, hasPort := rest, "", false
	switch {
	case strings.HasPrefix(rest, "["):
		inner, after, closed := strings.Cut(rest[1:], "]")
		if !closed || after != "" && after[0] != ':' {
			return Host{}, fmt.Errorf("host %q: a bracket has no other", text)
		}
		name = inner
		if _, err := netip.ParseAddr(name); err != nil || !strings.Contains(name, ":") {
			return Host{}, fmt.Errorf("host %q: %q is no IPv6 address", text, name)
		}
		if after != "" {
			port, hasPort = after[1:], true
		}
	case strings.Count(rest, ":") > 1:
		if _, err := netip.ParseAddr(rest); err != nil {
			return Host{}, fmt.Errorf("host %q: too many colons (an IPv6 address with a port: [2001:db8::1]:22)", text)
		}
	default:
		name, port, hasPort = strings.Cut(rest, ":")
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return Host{}, fmt.Errorf("host %q: port %q is no number from 1 to 65535", text, port)
		}
		h.Port = uint16(n)
	}
	h.Name = name
	return h, h.check()
}

// check refuses names that ssh, or a shell in its configuration, could take for
// something else.
func (h Host) check() error {
	if addr, err := netip.ParseAddr(h.Name); err == nil && addr.Is6() {
		return checkWord("zone", "x"+addr.Zone(), "._-")
	}
	return checkWord("host", h.Name, "._-")
}

// longestWord is more than any name has.
const longestWord = 255

// checkWord allows letters, digits and some more characters.
func checkWord(what, word, more string) error {
	switch {
	case word == "":
		return fmt.Errorf("%s: there is no name", what)
	case len(word) > longestWord:
		return fmt.Errorf("%s %.20q...: %d characters are too many", what, word, len(word))
	case word[0] == '-':
		return fmt.Errorf("%s %q: a name does not start with a dash", what, word)
	}
	for _, r := range word {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r) {
			return fmt.Errorf("%s %q: %q is not allowed in a name", what, word, r)
		}
	}
	return nil
}

// String is h as it can be written in a list of hosts.
func (h Host) String() string {
	text := h.Name
	if strings.Contains(text, ":") {
		text = "[" + text + "]"
	}
	if h.User != "" {
		text = h.User + "@" + text
	}
	if h.Port != 0 {
		text += ":" + strconv.Itoa(int(h.Port))
	}
	return text
}

// options are ssh's options for h.
func (h Host) options() []string {
	var list []string
	if h.User != "" {
		list = append(list, "-l", h.User)
	}
	if h.Port != 0 {
		list = append(list, "-p", strconv.Itoa(int(h.Port)))
	}
	return list
}
