package seed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("alone.yaml", "#cloud-config\n")
	write("all/user-data", "u")
	write("all/meta-data", "m")
	write("all/network-config", "n")
	write("all/vendor-data", "v")
	write("all/other", "o")
	write("some/user-data", "u")
	write("none/meta-data", "m")
	write("big/user-data", strings.Repeat("x", MaxSize+1))
	write("most", strings.Repeat("x", MaxSize))
	write("odd/user-data", "u")
	write("odd/meta-data/x", "a directory where a file should be")
	for name, want := range map[string]string{
		"alone.yaml":    "user-data=#cloud-config\n",
		"all":           "meta-data=m network-config=n user-data=u vendor-data=v",
		"some":          "user-data=u",
		"none":          "error none/user-data: no such file",
		"nosuch":        "error nosuch: no such file",
		"big":           "error big/user-data is too big: a file of a seed has at most 1048576 bytes",
		"big/user-data": "error big/user-data is too big",
		"odd":           "error odd/meta-data: is a directory",
		"most":          "user-data=" + strings.Repeat("x", MaxSize),
	} {
		s, err := Read(filepath.Join(dir, name))
		var words []string
		for _, k := range slices.Sorted(maps.Keys(s)) {
			words = append(words, k+"="+string(s[k]))
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = "error " + strings.ReplaceAll(err.Error(), dir+"/", "")
			for _, call := range []string{"open ", "stat ", "read "} {
				got = strings.ReplaceAll(got, call, "")
			}
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %.100s, want %.100s", name, got, want)
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct{ meta, want string }{
		{"", "instance-id: \"web\"\nlocal-hostname: \"host\"\n"},
		{"instance-id: i-1", "instance-id: i-1\nlocal-hostname: \"host\"\n"},
		{"# mine\n\"local-hostname\" : x\n", "# mine\n\"local-hostname\" : x\ninstance-id: \"web\"\n"},
		{"instance-id: i-1\nlocal-hostname: x\n", "instance-id: i-1\nlocal-hostname: x\n"},
		{"keys:\n  instance-id: no\nlocal-hostname-2: no\n", "keys:\n  instance-id: no\nlocal-hostname-2: no\ninstance-id: \"web\"\nlocal-hostname: \"host\"\n"},
		{" {\"instance-id\": \"i\"}", " {\"instance-id\": \"i\"}"},
	} {
		s := Seed{MetaData: []byte(c.meta)}
		s.Name("web", "host")
		if got := string(s[MetaData]); got != c.want {
			t.Errorf("%q: %q, want %q", c.meta, got, c.want)
		}
	}
	s := Seed{}
	if s.Name("a \"b\": #c\n", "h"); !strings.HasPrefix(string(s[MetaData]), `instance-id: "a \"b\": #c\n"`+"\n") {
		t.Errorf("%s", s[MetaData])
	}
}

func TestHostname(t *testing.T) {
	for name, want := range map[string]string{"web": "web", "Web-1.example": "Web-1.example", "my_vm 2": "my-vm-2", "_x_": "x", "ä": "vm", "{": "vm", "@`a[": "a"} {
		if got := Hostname(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ user, meta, want string }{
		{"#cloud-config\nusers: []\n", "", ""},
		{"#!/bin/sh\n", "", ""},
		{"Content-Type: multipart/mixed", "", ""},
		{"\x1f\x8b\b", "", ""},
		{"#cloud-config", `{"instance-id": "i"}`, ""},
		{"users: []\n", "", "user-data does not begin"},
		{"", "", "user-data does not begin"},
		{"\ufeff#cloud-config", "", "user-data does not begin"},
		{"#cloud-config", `{"x": 1}`, "meta-data has no instance-id"},
	} {
		got := strings.Join(Seed{UserData: []byte(c.user), MetaData: []byte(c.meta)}.Warnings(), "; ")
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%q: %q, want %q", c.user, got, c.want)
		}
	}
}

func TestForKeys(t *testing.T) {
	s, err := ForKeys("o'neil: #1", []byte("# mine\n\nssh-ed25519 AAAA a@b\r\nssh-rsa BBBB\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, ok := bytes.CutPrefix(s[UserData], []byte("#cloud-config\n"))
	var config struct {
		Users []struct {
			Name string
			Keys []string `json:"ssh_authorized_keys"`
		}
	}
	if err := json.Unmarshal(text, &config); !ok || err != nil || len(config.Users) != 1 || config.Users[0].Name != "o'neil: #1" || !slices.Equal(config.Users[0].Keys, []string{"ssh-ed25519 AAAA a@b", "ssh-rsa BBBB"}) {
		t.Errorf("%v: %s", err, s[UserData])
	}
	for text, says := range map[string]string{"": "no key", "# none\n": "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n": "a private key"} {
		if _, err := ForKeys("u", []byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// files reads an image by its tables alone: the label, and the files by their
// names in Rock Ridge.
func files(image []byte) (label string, s Seed, err error) {
	defer func() {
		if bad := recover(); bad != nil {
			err = fmt.Errorf("%v", bad)
		}
	}()
	le := binary.LittleEndian
	pvd := image[16*sector:]
	if string(pvd[:7]) != "\x01CD001\x01" || int(le.Uint32(pvd[80:]))*sector != len(image) || le.Uint32(pvd[80:]) != binary.BigEndian.Uint32(pvd[84:]) {
		return "", nil, errors.New("no volume of the right length")
	}
	root := image[le.Uint32(pvd[158:])*sector:][:le.Uint32(pvd[166:])]
	s = Seed{}
	for n := 0; root[0] > 0; n++ {
		r := root[:root[0]]
		root = root[root[0]:]
		if n == 0 && (!bytes.Contains(r, []byte("SP\x07\x01\xbe\xef\x00")) || !bytes.Contains(r, []byte("ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"))) {
			return "", nil, errors.New("the directory does not say that there is Rock Ridge")
		}
		if n < 2 {
			continue
		}
		system := r[33+int(r[32])+(1-int(r[32])%2):]
		if string(system[:2]) != "NM" {
			return "", nil, errors.New("no alternate name")
		}
		s[string(system[5:system[2]])] = slices.Clone(image[le.Uint32(r[2:])*sector:][:le.Uint32(r[10:])])
	}
	return strings.TrimRight(string(pvd[40:72]), " "), s, nil
}

func same(a, b Seed) bool {
	return maps.EqualFunc(a, b, func(x, y []byte) bool { return bytes.Equal(x, y) })
}

// blkid, which udev asks in a guest, knows the disk; so cloud-init finds it.
func TestImageIsFound(t *testing.T) {
	s := Seed{UserData: []byte("#cloud-config\n")}
	s.Name("web", "web")
	path := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(path, s.Image(time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)), 0o600); err != nil {
		t.Fatal(err)
	}
	blkid, err := exec.LookPath("blkid")
	if err != nil {
		blkid = "/usr/sbin/blkid" // which is in few users' PATH
	}
	out, err := exec.Command(blkid, "--probe", "--output", "export", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range []string{"LABEL=CIDATA", "TYPE=iso9660", "BLOCK_SIZE=2048", "UUID=2024-02-29-23-59-58-00"} {
		if !slices.Contains(strings.Split(string(out), "\n"), line) {
			t.Errorf("no %s in:\n%s", line, out)
		}
	}
}

// FuzzImage writes files of all lengths, which are found again.
func FuzzImage(f *testing.F) {
	f.Add("#cloud-config\n", "instance-id: a", "", 2)
	f.Add("", strings.Repeat("x", sector), strings.Repeat("y", sector+1), 4)
	f.Fuzz(func(t *testing.T, user, meta, network string, n int) {
		s := Seed{UserData: []byte(user)}
		if n > 1 {
			s[MetaData] = []byte(meta)
		}
		if n > 2 {
			s[NetworkConfig] = []byte(network)
		}
		if n > 3 {
			s[VendorData] = []byte(network + user)
		}
		label, got, err := files(s.Image(time.Unix(1e9, 0)))
		if err != nil || label != Label || !same(got, s) {
			t.Fatalf("%q, %v: %q\nwant %q", label, err, got, s)
		}
	})
}
