package hostsetup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// root is the project's directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// project copies what the script needs to a directory, with programs built.
func project(t *testing.T) string {
	t.Helper()
	dir := tempDir(t)
	sh(t, root(t), `mkdir -p "$1/bin" "$1/docs"
cp -r scripts packaging "$1/"; cp -r docs/man "$1/docs/"; cp Makefile "$1/"
CGO_ENABLED=0 go build -o "$1/bin/" ./cmd/vswitch ./cmd/vnetctl ./cmd/vmrun`, dir)
	return dir
}

// tempDir has no comma in its path, which an overlay would take for the end of it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostsetup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func sh(t *testing.T, dir, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-ec", script, "sh"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return string(out)
}

// begin makes a file system that is this one's until it is written to, with /src
// in it and an empty /run, and defines picture, which writes down each file and
// directory in places that the script touches: owner, mode and content. The
// programs that keep groups leave copies of the files before and after (name-).
const begin = `set -eu
src=$1; work=$2
mount -t tmpfs tmpfs "$work"
mkdir "$work/up" "$work/low" "$work/new" "$work/tmp"
mount -t overlay overlay -o lowerdir=/,upperdir="$work/up",workdir="$work/low" "$work/new"
cd "$work/new"
mkdir -p src tmp run proc dev
mount --bind "$src" src
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mount -t proc proc proc
mount --rbind /dev dev
cat >tmp/test <<'END'
set -eu
cd /src
picture() {
	for top in /etc /usr/local/* /var/lib/vnetkit /run; do
		[ -d $top ] && [ $top != /usr/local/go ] || continue
		find $top -xdev ! -name '*-' ! -name .pwd.lock -printf '%p %y %m %u %g %l\n'
		find $top -xdev -type f ! -name '*-' ! -name .pwd.lock -exec sha256sum {} +
	done | sort
}
fail() { echo "$*"; exit 1; }
`

const end = `END
exec chroot . /bin/sh /tmp/test
`

// inOverlay runs a script in such a file system, with network, mounts and
// processes of its own.
func inOverlay(t *testing.T, src, script string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount an overlay here")
	}
	cmd := exec.Command("/bin/sh", "-c", begin+script+"\n"+end, "sh", src, tempDir(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return string(out)
}

func TestHostSetup(t *testing.T) {
	src := project(t)
	t.Run("twice is once, and undone is as before", func(t *testing.T) {
		inOverlay(t, src, `
useradd -m alice; useradd -m bob
picture >/tmp/before
scripts/host-setup --dry-run --user alice >/tmp/plan
picture | cmp - /tmp/before || fail "a dry run changed something"
grep -q groupadd /tmp/plan && grep -q vswitch@.service /tmp/plan || fail "the plan is not whole: $(cat /tmp/plan)"
scripts/host-setup --user alice >/tmp/out || fail "$(cat /tmp/out)"
picture >/tmp/once
cmp -s /tmp/once /tmp/before && fail "nothing was done"
scripts/host-setup --user alice >/tmp/out2 || fail "$(cat /tmp/out2)"
picture >/tmp/twice
diff /tmp/once /tmp/twice || fail "the second time changed something"
grep -q "there already" /tmp/out2 || fail "$(cat /tmp/out2)"
for f in bin/vswitch bin/vnetctl bin/vmrun share/man/man1/vnetctl.1 share/bash-completion/completions/vnetctl lib/systemd/system/vswitch@.service lib/tmpfiles.d/vnetkit.conf lib/udev/rules.d/70-vnetkit.rules; do
	[ -f /usr/local/$f ] || fail "there is no $f"
done
for f in packaging/systemd/*.service; do [ -f /usr/local/lib/systemd/system/${f##*/} ] || fail "$f is not installed"; done
id -nG alice | grep -qw vnet || fail "alice is not in vnet"
! grep -r @BINDIR@ /usr/local/lib /etc/sudoers.d || fail "a place was not filled in"
scripts/host-setup --undo --dry-run >/dev/null
picture | diff /tmp/once - || fail "a dry undo changed something"
scripts/host-setup --undo >/tmp/out3 || fail "$(cat /tmp/out3)"
picture | diff /tmp/before - || fail "it is not as before"
scripts/host-setup --undo | grep -q "nothing to undo" || fail "undone twice"
`)
	})
	t.Run("what is not ours stays", func(t *testing.T) {
		inOverlay(t, src, `
mkdir -p /etc/sudoers.d; echo "# mine" >/etc/sudoers.d/vnetkit
picture >/tmp/before
! scripts/host-setup >/tmp/out 2>&1 || fail "it went on"
grep -q "/etc/sudoers.d/vnetkit is there and is not ours" /tmp/out || fail "$(cat /tmp/out)"
picture | diff /tmp/before - || fail "something was changed"
rm /etc/sudoers.d/vnetkit
scripts/host-setup >/dev/null
echo "# an admin's line" >>/usr/local/lib/tmpfiles.d/vnetkit.conf
! scripts/host-setup >/tmp/out 2>&1 || fail "it went on"
scripts/host-setup --undo >/tmp/out
grep -q "tmpfiles.d/vnetkit.conf was changed since: it stays" /tmp/out || fail "$(cat /tmp/out)"
[ -f /usr/local/lib/tmpfiles.d/vnetkit.conf ] || fail "it is gone"
[ ! -e /usr/local/bin/vnetctl ] || fail "the rest is still there"
`)
	})
	t.Run("a newer version takes the older one's place", func(t *testing.T) {
		inOverlay(t, src, `
scripts/host-setup >/dev/null
cp -r /src /tmp/newer; cd /tmp/newer
echo "# newer" >>packaging/systemd/vswitch@.service
scripts/host-setup | grep -q "installed /usr/local/lib/systemd/system/vswitch@.service" || fail "not installed"
grep -q "# newer" /usr/local/lib/systemd/system/vswitch@.service || fail "not replaced"
scripts/host-setup --undo >/dev/null
[ ! -e /usr/local/lib/systemd/system/vswitch@.service ] || fail "it stays"
`)
	})
	t.Run("what fails half-way is undone", func(t *testing.T) {
		inOverlay(t, src, `
mkdir -p /usr/local/lib/udev/rules.d/70-vnetkit.rules.new/x # a file cannot be put there
picture >/tmp/before
! scripts/host-setup >/tmp/out 2>&1 || fail "it went on"
picture | diff /tmp/before - || fail "something is left: $(cat /tmp/out)"
`)
	})
	t.Run("the files are right", func(t *testing.T) {
		inOverlay(t, src, `
scripts/host-setup >/dev/null
visudo -c >/tmp/out 2>&1 || fail "$(cat /tmp/out)"
[ "$(stat -c %a /etc/sudoers.d/vnetkit)" = 440 ] || fail "mode"
systemd-analyze verify --man=no /usr/local/lib/systemd/system/vswitch@lab.service >/tmp/out 2>&1 || fail "$(cat /tmp/out)"
! grep -i "vswitch@" /tmp/out || fail "$(cat /tmp/out)"
rmdir /run/vswitch
systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/vnetkit.conf
[ "$(stat -c "%a %U" /run/vswitch)" = "755 root" ] || fail "no /run/vswitch"
`)
	})
	t.Run("who may do what", func(t *testing.T) {
		inOverlay(t, src, `
useradd -m alice; useradd -m bob; useradd -m carol
scripts/host-setup --user alice >/dev/null
usermod -a -G vnetadmin carol
vswitch=/usr/local/bin/vswitch; vnetctl=/usr/local/bin/vnetctl
setpriv --pdeathsig KILL $vswitch --name lab --quiet --group vnet --mode 0660 & lab=$!
setpriv --pdeathsig KILL $vswitch --name own --quiet & own=$!
for i in $(seq 600); do [ ! -S /run/vswitch/lab/api ] || [ ! -S /run/vswitch/own/api ] || break; sleep 0.05; done
as() { u=$1; shift; setpriv --reuid "$u" --regid "$u" --init-groups env HOME=/home/$u "$@"; }
as alice $vnetctl -s lab info >/dev/null || fail "alice may not look at lab"
timeout 20 setpriv --reuid alice --regid alice --init-groups $vswitch plug -v lab - </dev/null 2>/tmp/plug || true
grep -q "plugged in" /tmp/plug || fail "alice may not plug in: $(cat /tmp/plug)"
! as bob $vnetctl -s lab info 2>/dev/null || fail "bob may look at lab"
! as alice $vnetctl -s own info 2>/dev/null || fail "alice may look at own"
! as alice $vnetctl -s lab port set 1 vlan=9 2>/dev/null || fail "alice may change lab"
for u in alice bob; do ! as $u sudo -n $vnetctl check >/dev/null 2>&1 || fail "$u may use sudo"; done
may() { as carol sudo -n -l "$@" >/dev/null 2>&1; }
for line in "check" "create -u carol" "--far=1+ create --user=carol" "cancel bridge br0" "confirm" "recover --force"; do may $vnetctl $line || fail "carol may not: $line"; done
for line in "" "capture all -w /etc/shadow" "config save /etc/shadow" "--far=1+ capture all -w /x create" "capture all -w /x --far=1 create" "list" "createx" "--ssh=x create" "-r x --ssh=sh create"; do ! may $vnetctl $line || fail "carol may: $line"; done
! may $vswitch || fail "carol may run vswitch"
! may /bin/sh || fail "carol may run a shell"
as carol sudo -n $vnetctl check >/tmp/out 2>&1 || grep -q ctl /tmp/out || [ -s /tmp/out ] || fail "check says nothing"
as carol sudo -n $vnetctl create -r x --ssh "touch /tmp/owned" >/tmp/out 2>&1 && fail "it went on" || true
grep -q "without sudo" /tmp/out || fail "$(cat /tmp/out)"
[ ! -e /tmp/owned ] || fail "ssh was run as root"
kill $lab $own; wait || true
`)
	})
}

// make install puts the same files as the script.
func TestInstall(t *testing.T) {
	src := project(t)
	inOverlay(t, src, `
scripts/host-setup --destdir /tmp/d --prefix /usr
scripts/host-setup --prefix /usr >/dev/null
(cd /tmp/d && find . -type f | sort) >/tmp/list
[ "$(wc -l </tmp/list)" -gt 20 ] || fail "$(cat /tmp/list)"
while read -r f; do cmp "/tmp/d/$f" "/$f" || fail "$f differs"; [ "$(stat -c %a /tmp/d/$f)" = "$(stat -c %a /$f)" ] || fail "$f has another mode"; done </tmp/list
[ ! -e /tmp/d/var ] || fail "a record in a package"
# The Makefile calls it so; it builds before, which needs more than there is here.
grep -q 'scripts/host-setup --destdir "$(DESTDIR)/" --prefix "$(PREFIX)"' Makefile || fail "make install does something else"
`)
}

// The script is for a plain POSIX shell, too.
func TestShells(t *testing.T) {
	for _, shell := range []string{"dash", "bash"} {
		if out, err := exec.Command(shell, "-n", filepath.Join(root(t), "scripts/host-setup")).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
	out, err := exec.Command(filepath.Join(root(t), "scripts/host-setup"), "--nosuch").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--dry-run") {
		t.Errorf("%v: %s", err, out)
	}
}
