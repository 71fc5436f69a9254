package main

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/remote"
)

// pusher brings vnetctl, and the vswitch that it starts, to hosts that have not
// this version. Both go to a directory under the home of the user there that only
// he may enter, and whose name is their content's SHA-256: programs of several
// versions stand side by side, and none is ever replaced.
type pusher struct {
	sets map[string]*binaries // by architecture
}

// binaries are the two programs for an architecture.
type binaries struct {
	arch string
	name string // of their directory
	list []pushed
}

// pushed is one program.
type pushed struct{ name, path, sum string }

// machines are the names that uname -m has for architectures.
var machines = map[string]string{"amd64": "x86_64|amd64", "arm64": "aarch64|arm64"}

// elfMachines tell what a file is for.
var elfMachines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// pushPrograms are copied in this order: when vnetctl is there all are.
var pushPrograms = []string{"vswitch", farProgram}

// newPusher finds the programs: beside this one for its own architecture, and in
// linux-ARCH beside it or in ../lib/vnetkit, where make and make install put them.
func newPusher() (*pusher, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	here := filepath.Dir(self)
	p := &pusher{sets: map[string]*binaries{}}
	for arch := range machines {
		for _, dir := range []string{filepath.Join(here, "linux-"+arch), filepath.Join(here, "../lib/vnetkit/linux-"+arch), here} {
			set, err := readBinaries(dir, arch)
			if err != nil {
				return nil, err
			}
			if set != nil {
				p.sets[arch] = set
				break
			}
		}
	}
	if len(p.sets) == 0 {
		e := usage("--push has nothing to bring")
		e.cause = fmt.Sprintf("vswitch and vnetctl are neither in %s nor in linux-%s there or in %s", here, runtime.GOARCH, filepath.Join(here, "../lib/vnetkit"))
		e.cure = "make remote"
		return nil, e
	}
	return p, nil
}

// readBinaries reads the programs of a directory; nil: they are not there, or are
// not for this architecture.
func readBinaries(dir, arch string) (*binaries, error) {
	set := &binaries{arch: arch}
	all := sha256.New()
	for _, name := range pushPrograms {
		path := filepath.Join(dir, name)
		f, err := elf.Open(path)
		if err != nil {
			return nil, nil //nolint:nilerr // no program of Linux's, or none at all
		}
		machine := elfMachines[f.Machine]
		_ = f.Close()
		if machine != arch {
			return nil, nil
		}
		sum, err := fileSum(path)
		if err != nil {
			return nil, fmt.Errorf("read what --push brings: %w", err)
		}
		set.list = append(set.list, pushed{name, path, sum})
		_, _ = io.WriteString(all, sum) // a hash takes everything
	}
	set.name = hex.EncodeToString(all.Sum(nil))[:32]
	return set, nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

const (
	pushWanted = "vnetctl-push" // begins the line of a host that has nothing of this version
	pushCode   = 97
)

// findScript runs the vnetctl of this version, or says what the machine is. $1 is
// its version, or empty; then a directory for each architecture; then what it is
// run with. It is the same for all users and switches: what they say are
// arguments.
const findScript = `want=$1 amd64=$2 arm64=$3; shift 3
if [ -n "$want" ] && [ "$(vnetctl --version 2>/dev/null)" = "$want" ]; then exec vnetctl "$@"; fi
m=$(uname -m)
case $m in x86_64|amd64) d=$amd64;; aarch64|arm64) d=$arm64;; *) d=;; esac
f=${XDG_CACHE_HOME:-$HOME/.cache}/vnetkit/$d/vnetctl
if [ -n "$d" ] && [ -x "$f" ]; then exec "$f" "$@"; fi
echo "vnetctl-push $m" >&2; exit 97`

// command is what to run on a host instead of vnetctl.
func (p *pusher) command(args []string) []string {
	want := ""
	if version != "dev" && !strings.HasSuffix(version, "-dirty") { // else it does not say which one it is
		want = fmt.Sprintf("vnetctl %s (commit %s)", version, commit)
	}
	words := []string{"sh", "-c", findScript, "sh", want}
	for _, arch := range []string{"amd64", "arm64"} {
		name := ""
		if set := p.sets[arch]; set != nil {
			name = set.name
		}
		words = append(words, name)
	}
	return append(words, args...)
}

// wanted is the machine of a host that has no vnetctl of this version, as uname
// has it; empty: it has one.
func (p *pusher) wanted(code int, said string) string {
	machine, ok := strings.CutPrefix(lastLine(said), pushWanted+" ")
	if code != pushCode || !ok {
		return ""
	}
	return machine
}

// pushScript puts its input into a file, if it is what it should be. $1 is the
// directory's name, $2 the program's, $3 its SHA-256.
const pushScript = `umask 077; set -e
c=${XDG_CACHE_HOME:-$HOME/.cache}/vnetkit; d=$c/$1
mkdir -p "$d"; chmod 700 "$c" "$d"
t=$d/.$2.$$; trap 'rm -f "$t"' EXIT; trap 'exit 1' HUP INT TERM
cat >"$t"
s=$(sha256sum <"$t"); s=${s%% *}
if [ "$s" != "$3" ]; then echo "what arrived has SHA-256 $s, not $3" >&2; exit 1; fi
chmod 755 "$t"; mv -f "$t" "$d/$2"`

// push copies the programs for a machine to a host.
func (p *pusher) push(ctx context.Context, ssh *remote.SSH, h remote.Host, machine string) error {
	var set *binaries
	for arch, names := range machines {
		for name := range strings.SplitSeq(names, "|") {
			if name == machine {
				set = p.sets[arch]
			}
		}
	}
	if set == nil {
		return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("there is no vnetctl here for its architecture %q", printable(machine)),
			Hint: "make remote builds for amd64 and arm64; for others, build it there"}
	}
	for _, b := range set.list {
		if err := p.pushOne(ctx, ssh, h, set, b); err != nil {
			return err
		}
	}
	return nil
}

func (p *pusher) pushOne(ctx context.Context, ssh *remote.SSH, h remote.Host, set *binaries, b pushed) error {
	f, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer f.Close()
	var said tail
	code, err := ssh.Run(ctx, remote.Run{Host: h, Words: []string{"sh", "-c", pushScript, "sh", set.name, b.name, b.sum}, Stdin: f, Stdout: &said, Stderr: &said})
	switch {
	case err != nil:
		return err
	case code == remote.ConnectionFailed:
		return errors.Join(errPush, fmt.Errorf("copy %s: %s", b.name, lastLine(said.String())))
	case code != 0:
		return fmt.Errorf("copy %s: %s", b.name, lastLine(said.String()))
	}
	return nil
}

// errPush is a connection that failed while something was copied.
var errPush = errors.New("the connection was cut")

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - 4096; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
