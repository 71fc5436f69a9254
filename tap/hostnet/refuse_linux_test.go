package hostnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A step that fails, because the world is no longer what the plan was made for,
// takes all before it back.
func TestFailingStep(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	program(t)
	for _, c := range []struct{ name, at, script, clean, want string }{
		{"name taken", "did 3", "ip link add tap0 type bridge", "ip link delete tap0", "make TAP tap0"},
		{"address taken away", "did 2", "ip address del 10.8.0.1/32 dev up0", "", ""},
		{"bridge deleted", "did 5", "ip link delete br0", "true", "br0"},
		{"directory taken", "did 9", "mkdir -p /run/vswitch/nobody", "rmdir /run/vswitch/nobody /run/vswitch || true", "make directory"},
		{"daemon does not start", "did 9", "mv /run/hostnet.test /run/moved", "mv /run/moved /run/hostnet.test", "run switch"},
	} {
		before := snapshot(t)
		out, err := run(t, "create", envBreak+"="+c.at+"="+c.script)
		if c.want != "" {
			sh(t, c.clean)
		}
		if c.want == "" { // nobody but the bridge needs it: it comes back there
			if err != nil {
				t.Errorf("%s: %v: %s", c.name, err, out)
			}
			if out, err := run(t, "cancel"); err != nil {
				t.Errorf("%s: %v: %s", c.name, err, out)
			}
		} else if err == nil || !strings.Contains(out, "all is as it was before") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v: %s", c.name, err, out)
		}
		if !same(t, c.name, before, snapshot(t)) {
			t.FailNow()
		}
	}
}

// Everything that makes no sense is refused with a cause and a cure, and changes
// nothing.
func TestRefusals(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	sh(t, `
ip link add foreign type bridge
ip link add used type veth peer name used1; ip link set used master foreign up
ip link add bare type veth peer name bare1; ip link set bare up
ip link add low type veth peer name low1; ip address add 192.0.2.200/32 dev low
ip tuntap add t0 mode tap vnet_hdr; ip tuntap add t1 mode tap; ip link set t1 master foreign; ip tuntap add t2 mode tap; ip link set t2 master foreign
ip link add nh type veth peer name nh1; ip link set nh up; ip link set nh1 up; ip address add 10.55.0.1/24 dev nh; ip nexthop add id 7 dev nh via 10.55.0.2; ip route add 10.56.0.0/16 nhid 7`)
	// No radio here: what the kernel shows of one, in place of a veth's.
	sh(t, `ip link add air type veth peer name air1; ip link set air up; ip address add 10.57.0.1/24 dev air
mount -t tmpfs none /sys/devices/virtual/net/air; mkdir /sys/class/net/air/wireless`)
	e := engine(t)
	s, err := e.Begin(t.Context())
	must(t, err)
	defer e.End()
	bridge := func(name, uplink string) func(*Plan) error {
		return func(p *Plan) error {
			_, err := e.Host.PlanBridge(p, BridgeWish{Name: name, Uplink: uplink})
			return err
		}
	}
	tap := func(w TAPWish) func(*Plan) error {
		return func(p *Plan) error { _, _, err := e.Host.PlanTAP(p, s, w); return err }
	}
	must(t, os.WriteFile("/run/file", nil, 0o600))
	must(t, os.Mkdir("/run/ro", 0o755))
	must(t, unix.Mount("tmpfs", "/run/ro", "tmpfs", unix.MS_RDONLY, ""))
	must(t, os.Mkdir("/run/roots", 0o755))
	before := snapshot(t)
	run := func(dir string, taps ...string) func(*Plan) error {
		return func(p *Plan) error { _, err := e.Host.PlanSwitch(p, s, switchWish(dir, taps...)); return err }
	}
	planned := func(w TAPWish) func(*Plan) error {
		return func(*Plan) error {
			p := NewPlan("planned")
			var names []string
			for range 2 {
				name, _, err := e.Host.PlanTAP(p, s, w)
				if err != nil {
					return err
				}
				names = append(names, name)
			}
			_, err := e.Host.PlanSwitch(p, s, switchWish("/run/sw", names...))
			return err
		}
	}
	held, err := e.Host.attachTAP("t0")
	must(t, err)
	defer held.Close()
	for _, c := range []struct {
		name  string
		plan  func(*Plan) error
		code  Code
		cause string
	}{
		{"16 bytes", bridge("abcdefghijklmnop", ""), ErrInvalid, "16 bytes"},
		{"empty name", bridge("", ""), ErrInvalid, "empty"},
		{"slash", bridge("a/b", ""), ErrInvalid, "'/'"},
		{"dots", bridge("..", ""), ErrInvalid, "starts with ."},
		{"option", bridge("-f", ""), ErrInvalid, "starts with -"},
		{"no uplink of that name", bridge("br0", "nosuch"), ErrNotFound, "nosuch"},
		{"loopback", bridge("br0", "lo"), ErrInvalid, "loopback"},
		{"enslaved", bridge("br0", "used"), ErrInUse, "is in foreign"},
		{"no address", bridge("br0", "bare"), ErrInvalid, "no address"},
		{"down", bridge("br0", "low"), ErrInvalid, "is down"},
		{"a bridge as uplink", bridge("br0", "foreign"), ErrInvalid, "is a bridge itself"},
		{"a TAP as uplink", bridge("br0", "t0"), ErrInvalid, "is a TAP"},
		{"nexthop objects", bridge("br0", "nh"), ErrUnsupported, "nexthop object"},
		{"name of something else", bridge("up0", ""), ErrExists, "instead of a bridge"},
		{"bridge there without the uplink", bridge("foreign", "up0"), ErrExists, "up0 is not in it"},
		{"TAP in no bridge", tap(TAPWish{Name: "x", Bridge: "nosuch"}), ErrNotFound, "nosuch"},
		{"TAP in a veth", tap(TAPWish{Name: "x", Bridge: "up0"}), ErrInvalid, "no bridge"},
		{"others' TAP", tap(TAPWish{Name: "t0"}), ErrExists, "did not make"},
		{"TAP with a long name", tap(TAPWish{Name: "abcdefghijklmnopq"}), ErrInvalid, "17 bytes"},
		{"macvtap on nothing", tap(TAPWish{Parent: "nosuch"}), ErrNotFound, "nosuch"},
		{"macvtap in a bridge", tap(TAPWish{Parent: "up0", Bridge: "foreign"}), ErrInvalid, "goes into no bridge"},
		{"macvtap on a port", tap(TAPWish{Parent: "used"}), ErrInUse, "is in foreign"},
		{"macvtap on what is down", tap(TAPWish{Parent: "low"}), ErrInvalid, "is down"},
		{"wireless", bridge("br0", "air"), ErrUnsupported, "wireless"},
		{"macvtap on wireless", tap(TAPWish{Parent: "air"}), ErrUnsupported, "wireless"},
		{"switch without its TAP", run("/run/sw", "nosuch"), ErrNotFound, "no TAP nosuch"},
		{"switch on a veth", run("/run/sw", "up0"), ErrInvalid, "no TAP"},
		{"two TAPs of one bridge", run("/run/sw", "t1", "t2"), ErrInvalid, "t1 and t2 are both on foreign"},
		{"two new TAPs in one bridge", planned(TAPWish{Bridge: "foreign"}), ErrInvalid, "tap0 and tap1 are both on foreign"},
		{"two macvtaps of one interface", planned(TAPWish{Parent: "up0"}), ErrInvalid, "macvtap0 and macvtap1 are both on up0"},
		{"TAP in use", run("/run/sw", "t0"), ErrInUse, fmt.Sprintf("[%d]", os.Getpid())},
		{"directory is a file", run("/run/file"), ErrExists, "no directory"},
		{"read-only", run("/run/ro/sw"), ErrInvalid, "read-only"},
		{"directory of another user", run("/run/roots"), ErrExists, "not user 65534's"},
	} {
		p := NewPlan(c.name)
		err := c.plan(p)
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(err.Error(), c.cause) || e.Cure == "" {
			t.Errorf("%s: %#v: %v", c.name, err, err)
		}
		if len(p.Steps) > 0 {
			t.Errorf("%s: %d steps", c.name, len(p.Steps))
		}
	}
	same(t, "refused", before, snapshot(t))
}

// What the kernel says to a macvtap is put into words.
func TestMacvtapTrouble(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EOPNOTSUPP: "this kernel has no macvtap", unix.EBUSY: "interface up0 takes no macvtap", unix.EINVAL: "interface up0 takes no macvtap", unix.ENOMEM: "make macvtap m0 on up0",
	} {
		err := macvtapTrouble("m0", "up0", errno)
		var e *Error
		if !strings.Contains(err.Error(), want) || !errors.Is(err, errno) || errno != unix.ENOMEM && (!errors.As(err, &e) || e.Cure == "") {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// A macvtap that a killed run made and did not mark is known by its address; one
// with another mark is somebody else's.
func TestMacvtapHalfMade(t *testing.T) {
	if !isolated(t) {
		return
	}
	h := engine(t).Host
	sh(t, "ip link add up0 type veth peer name far0; ip link add link up0 name m0 address 02:00:00:00:00:09 type macvtap mode bridge; ip link set m0 alias theirs")
	step := &Macvtap{Name: "m0", Parent: "up0", MAC: "02:00:00:00:00:09", Mark: "vnetctl:X:nobody"}
	for _, c := range []struct {
		alias string
		stays bool
	}{{"theirs", true}, {"''", false}} {
		sh(t, "ip link set m0 alias "+c.alias)
		must(t, errors.Join(step.Undo(h), step.Undone(h)))
		if there, err := h.exists("m0"); err != nil || there != c.stays {
			t.Errorf("alias %s: there: %v, %v", c.alias, there, err)
		}
	}
}

// One run at a time; who comes second learns who is first.
func TestLock(t *testing.T) {
	if !isolated(t) {
		return
	}
	e := engine(t)
	_, err := e.Begin(t.Context())
	must(t, err)
	out, err := run(t, "create")
	if err == nil || !strings.Contains(out, fmt.Sprintf("another run is changing this host: process %d", os.Getpid())) {
		t.Errorf("%v: %s", err, out)
	}
	e.End()
	if files := filesIn("/run"); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

// A journal that cannot be trusted, or is about another world, stops everything
// and changes nothing.
func TestBadJournals(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	program(t)
	before := snapshot(t)
	if out, err := run(t, "create", envDie+"=did 5"); !killed(err) {
		t.Fatalf("%v: %s", err, out)
	}
	path := filepath.Join(DefaultDir, journalName)
	good, err := os.ReadFile(path)
	must(t, err)
	middle := bytes.Clone(good)
	middle[len(middle)/2] ^= 1
	e := engine(t)
	for _, c := range []struct {
		name, text, begin, recover string
	}{
		{"flipped bit", string(middle), "checksum", "checksum"},
		{"not a journal", "hello\n", "checksum", "checksum"},
		{"first line missing", string(good[bytes.IndexByte(good, '\n')+1:]), "does not belong there", "does not belong there"},
		{"two plans", string(good) + string(good), "does not belong there", "does not belong there"},
		{"unknown event", string(good) + line(`{"event":"pray"}`), "not known", "not known"},
		{"step that is not there", string(good) + line(`{"event":"do","step":99}`), "no step 99", "no step 99"},
		{"negative step", string(good) + line(`{"event":"do","step":-1}`), "no step -1", "no step -1"},
		{"other version", relined(t, good, `"version":1`, `"version":9`), "version 9", "version 9"},
		{"unknown kind of step", relined(t, good, `"step":"bridge"`, `"step":"wormhole"`), "wormhole", "wormhole"},
		{"other namespace", relined(t, good, netNS(), "net:[1]"), "did not end", "another network namespace"},
	} {
		must(t, os.WriteFile(path, []byte(c.text), 0o600))
		during := snapshot(t)
		if _, err := e.Begin(t.Context()); err == nil || !strings.Contains(err.Error(), c.begin) {
			t.Errorf("%s: begin: %v", c.name, err)
		}
		if _, err := e.Recover(context.Background(), true); err == nil || !strings.Contains(err.Error(), c.recover) {
			t.Errorf("%s: recover: %v", c.name, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != c.text {
			t.Errorf("%s: the journal was touched: %v", c.name, err)
		}
		same(t, c.name, during, snapshot(t))
	}
	// A last line without its end announces what has not begun.
	must(t, os.WriteFile(path, append(bytes.Clone(good), "0000 {\"eve"...), 0o600))
	if r, err := e.Recover(context.Background(), false); err != nil || r.Undid == 0 {
		t.Errorf("torn last line: %+v, %v", r, err)
	}
	same(t, "recovered", before, snapshot(t))
	// Nor does a plan of which only a part was written.
	must(t, os.Mkdir(DefaultDir, 0o755))
	must(t, os.WriteFile(path, good[:100], 0o600))
	if _, err := e.Begin(t.Context()); err != nil {
		t.Errorf("torn plan: %v", err)
	}
	e.End()
	// What was of another boot is gone with it.
	must(t, os.MkdirAll(DefaultDir, 0o755))
	must(t, os.WriteFile(path, []byte(relined(t, good, bootID(), "another")), 0o600))
	if _, err := e.Begin(t.Context()); err == nil || !strings.Contains(err.Error(), "earlier boot") {
		t.Errorf("other boot: begin: %v", err)
	}
	if r, err := e.Recover(context.Background(), false); err != nil || !r.Stale {
		t.Errorf("other boot: %+v, %v", r, err)
	}
	same(t, "after the other boot's", before, snapshot(t))
}

// line is a journal's line.
func line(body string) string {
	return fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(body)), body)
}

// relined replaces text in the first line, and makes its checksum fit.
func relined(t *testing.T, journal []byte, old, now string) string {
	t.Helper()
	first, rest, _ := strings.Cut(string(journal), "\n")
	_, body, _ := strings.Cut(first, " ")
	if !strings.Contains(body, old) {
		t.Fatalf("no %s in the journal", old)
	}
	return line(strings.ReplaceAll(body, old, now)) + rest
}

func TestBadState(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ text, want string }{
		{"{", "cannot be trusted"}, {`{"version": 7}`, "version 7"}, {`{"version":1,"boot":"` + bootID() + `","netns":"net:[1]"}`, "another network namespace"},
		{`{"version":1,"objects":[{"steps":[{"step":"x"}]}]}`, "not known"},
	} {
		must(t, os.WriteFile(filepath.Join(dir, stateName), []byte(c.text), 0o600))
		if _, err := readState(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, stateName), []byte(`{"version":1,"boot":"another","objects":[{"kind":"tap","name":"x","steps":[]}]}`), 0o600))
	if s, err := readState(dir); err != nil || len(s.Objects) != 0 {
		t.Errorf("other boot: %+v, %v", s, err)
	}
}

// No space for the journal: nothing begins.
func TestFullRun(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	before := snapshot(t)
	must(t, os.Mkdir(DefaultDir, 0o755))
	must(t, unix.Mount("tmpfs", DefaultDir, "tmpfs", 0, "size=4k"))
	must(t, os.WriteFile(DefaultDir+"/filler", make([]byte, 4096), 0o600))
	out, err := run(t, "create")
	if err == nil || !strings.Contains(out, "no space left") || strings.Contains(out, "as it was before") {
		t.Errorf("%v: %s", err, out)
	}
	must(t, unix.Unmount(DefaultDir, 0))
	must(t, os.Remove(DefaultDir))
	same(t, "full", before, snapshot(t))
}

// Steps survive being written down.
func TestStepsAsText(t *testing.T) {
	steps := Steps{
		&Bridge{Name: "a", MAC: RandomMAC(), MTU: 1500, Mark: "m"}, Reverse{&TAP{Name: "b", UID: 1, GID: -1}}, &Up{"c"}, &Join{"d", "e"},
		&Move{From: "f", To: "g", Config: Config{Addrs: [][]byte{{1, 2}}}}, &CopySettings{To: "h", Values: map[string]string{"i": "1"}}, &Switch{Program: "/x"}, &MakeDir{Path: "/y"},
		&Whole{Steps{&TAP{Name: "j"}, &Up{"j"}}}, &Macvtap{Name: "k", Parent: "l"},
	}
	text, err := json.Marshal(steps)
	must(t, err)
	var back Steps
	must(t, json.Unmarshal(text, &back))
	if !reflect.DeepEqual(steps, back) {
		t.Errorf("%+v", back)
	}
	if len(kinds) != len(steps) {
		t.Errorf("%d kinds, %d tried", len(kinds), len(steps))
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(line(`{"event":"plan","head":{"version":1,"plan":{"steps":[{"step":"up","fields":{"name":"a"}}]}}}`) + line(`{"event":"do"}`)))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := parseJournal(text)
		if err == nil && !j.void() && j.reached > len(j.head.Plan.Steps) {
			t.Errorf("%d of %d steps", j.reached, len(j.head.Plan.Steps))
		}
	})
}

func FuzzPersistent(f *testing.F) {
	f.Add([]byte(`{"version":1,"wishes":[{"kind":"tap","name":"a","tap":{"name":"a"}},{"kind":"switch","switch":{"dir":"/x"}}]}`))
	f.Add([]byte(`{"version":1,"wishes":[{"kind":"bridge","bridge":null}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parsePersistent(text)
		for _, w := range list {
			if err == nil && w.Bridge == nil && w.TAP == nil && w.Switch == nil {
				t.Errorf("a wish for nothing: %+v", w)
			}
		}
	})
}

// Messages of any content are borne: lengths are checked before they are used.
func FuzzMessages(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Fuzz(func(_ *testing.T, b []byte) {
		dev := device{"up0", 1}
		_ = parseAttrs(b).encode(nil)
		_, _ = retargetHops(b, 1, 0)
		_, _ = forwardChain(b)
		if len(b) < 12 {
			return
		}
		for _, family := range families {
			b[0] = family
			for _, normal := range []func([]byte, device) ([]byte, error){normalAddr, normalRoute, normalRule, normalNeigh} {
				_, _ = normal(b, dev)
			}
			_, _, _, _ = addrText(b), routeText(b, "x"), ruleText(b, "x"), neighText(b, "x")
			_ = Config{Addrs: [][]byte{b}, Routes: [][]byte{b}, Rules: [][]byte{b}, Neighs: [][]byte{b}}.additions(dev)
		}
	})
}
