// Package seed makes what cloud-init finds at a guest's first start: a small
// read-only disk for its source of data "NoCloud".
//
// The guest looks for a file system with the label CIDATA and in it for
// user-data and meta-data, and perhaps network-config and vendor-data. Read
// takes these files as they are; Name adds to meta-data what must be there;
// Image writes the disk (iso.go), which needs no program of the host's.
package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The files that cloud-init looks for.
const (
	UserData      = "user-data"
	MetaData      = "meta-data"
	NetworkConfig = "network-config"
	VendorData    = "vendor-data"
)

// MaxSize is how long one of the files can be.
const MaxSize = 1 << 20

// Seed is the files by their names.
type Seed map[string][]byte

// Read takes user-data from a file, or all that there are from a directory.
func Read(path string) (Seed, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := Seed{}
	if !info.IsDir() {
		s[UserData], err = readFile(path)
		return s, err
	}
	for _, name := range []string{UserData, MetaData, NetworkConfig, VendorData} {
		text, err := readFile(filepath.Join(path, name))
		switch {
		case err == nil:
			s[name] = text
		case name == UserData || !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
	}
	return s, nil
}

// readFile reads one file whole.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && len(text) > MaxSize {
		err = fmt.Errorf("%s is too big: a file of a seed has at most %d bytes", path, MaxSize)
	}
	return text, err
}

// ForKeys is a seed that makes a user who may log in with keys, which are lines
// as in authorized_keys, and who may become root.
func ForKeys(user string, keys []byte) (Seed, error) {
	var lines []string
	for line := range strings.Lines(string(keys)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-----BEGIN") {
			return nil, errors.New("this is a private key, which no guest should see; the public one is mostly in the file of the same name and .pub")
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, errors.New("there is no key in it")
	}
	type account struct {
		Name   string   `json:"name"`
		Groups []string `json:"groups"`
		Sudo   string   `json:"sudo"`
		Shell  string   `json:"shell"`
		Keys   []string `json:"ssh_authorized_keys"`
	}
	// JSON is YAML, too, and needs no thought about what is to be quoted.
	text, err := json.MarshalIndent(map[string]any{
		"users":        []account{{user, []string{"sudo"}, "ALL=(ALL) NOPASSWD:ALL", "/bin/bash", lines}},
		"ssh_pwauth":   false,
		"disable_root": true,
	}, "", "  ")
	return Seed{UserData: append(append([]byte("#cloud-config\n"), text...), '\n')}, err
}

// Name adds to meta-data what is missing there: an instance-id, without which
// cloud-init does nothing, and the guest's name.
func (s Seed) Name(instance, hostname string) {
	if s.metaJSON() {
		return
	}
	text := s[MetaData]
	for _, line := range [][2]string{{"instance-id", instance}, {"local-hostname", hostname}} {
		if regexp.MustCompile(`(?m)^["']?` + line[0] + `["']?\s*:`).Match(text) {
			continue
		}
		if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
			text = append(text, '\n')
		}
		value, _ := json.Marshal(line[1]) // a string always can be
		text = fmt.Appendf(text, "%s: %s\n", line[0], value)
	}
	s[MetaData] = text
}

func (s Seed) metaJSON() bool { return bytes.HasPrefix(bytes.TrimSpace(s[MetaData]), []byte("{")) }

// Hostname makes a VM's name one that a host can have (RFC 952, RFC 1123).
func Hostname(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z') {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name, "-."); name == "" {
		return "vm"
	}
	return name
}

// beginnings are those by which cloud-init knows what user-data is.
var beginnings = []string{"#cloud-config", "#!", "#include", "#cloud-boothook", "#part-handler", "#upstart-job", "#ps1", "rem cmd",
	"## template: jinja", "Content-Type:", "MIME-Version:", "\x1f\x8b"}

// Warnings tell what cloud-init would pass over without a word.
func (s Seed) Warnings() (list []string) {
	known := false
	for _, b := range beginnings {
		known = known || bytes.HasPrefix(bytes.ToLower(s[UserData]), []byte(strings.ToLower(b)))
	}
	if !known {
		list = append(list, "user-data does not begin with #cloud-config, #! or another line that cloud-init knows, and it will pass it over")
	}
	if s.metaJSON() && !bytes.Contains(s[MetaData], []byte(`"instance-id"`)) {
		list = append(list, "meta-data has no instance-id, and cloud-init will do nothing")
	}
	return list
}
