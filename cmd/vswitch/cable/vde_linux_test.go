package cable

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// A vde_switch is an end like any other: by its ctl door, at the port that was
// asked for.
func TestVDEEnd(t *testing.T) {
	v := vdeSwitch(t)
	a := startSwitch(t)
	sa, sv := a.plugIn(), run(t, "vde_plug", v).station()
	for _, args := range [][]string{{a.dir, v}, {v, a.dir}, {a.dir, "vde://" + v + "[7]"}, {"-p", "9", "-m", "0700", v, a.dir}} {
		p := run(t, self(args...)...)
		bothWays(t, sa, sv, usual...)
		p.signal(syscall.SIGTERM)
		p.want(0)
		a.awaitPorts(1)
	}
}

// -D says what a switch with a VDE door shows as the cable's description.
func TestDescription(t *testing.T) {
	sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{plug.Stream(), plug.VDE()}})
	if err != nil {
		t.Fatal(err)
	}
	a := &testSwitch{sw, t, tempDir(t)}
	t.Cleanup(func() { _ = sw.Close() })
	for _, door := range []string{"stream:unix:" + a.door(), "vde:" + a.dir + ",listen=on"} {
		if _, err := sw.Add(t.Context(), door); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(tempDir(t), "v")
	v := run(t, "vde_switch", "-s", dir) // its console is on stdin and stdout
	eventually(t, "a vde_switch", func() bool { _, err := os.Stat(filepath.Join(dir, "ctl")); return err == nil })
	p := run(t, self("-D", "to the lab", a.dir, dir)...)
	a.awaitPorts(1)
	if d := a.portOfCable().Peer.Description; !strings.HasPrefix(d, "to the lab user=") {
		t.Errorf("our switch calls the cable %q", d)
	}
	said := ""
	for end := time.Now().Add(patience); !strings.Contains(said, ": to the lab user="); {
		if time.Now().After(end) {
			t.Fatalf("vde_switch does not show the description:\n%s", said)
		}
		if _, err := v.in.Write([]byte("port/print\n")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := v.out.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		said += string(buf[:n])
	}
	p.signal(syscall.SIGTERM)
	p.want(0)
	_ = v.in.Close()
	v.wait()
}
