package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/mgmttest"
	"vnetkit/remote/sshtest"
)

// linkStation is a client of a switch's stream door.
type linkStation struct {
	net.Conn
	t *testing.T
}

func (s *site) station(name string) *linkStation {
	s.t.Helper()
	c, err := net.Dial("unix", s.door(name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &linkStation{c, s.t}
}

// reaches sends a broadcast with a number in it until the other one hears it.
func (a *linkStation) reaches(b *linkStation, number byte) {
	a.t.Helper()
	f := make([]byte, 60)
	copy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00")
	f[11], f[12], f[13], f[14] = number, 0x88, 0xb5, number
	heard := make([]byte, 4+70000)
	mgmttest.Until(a.t, fmt.Sprintf("frame %d arrives", number), func() bool {
		if _, err := a.Write(append(binary.BigEndian.AppendUint32(nil, 60), f...)); err != nil {
			a.t.Fatal(err)
		}
		_ = b.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			if _, err := io.ReadFull(b, heard[:4]); err != nil {
				return false
			}
			n := int(binary.BigEndian.Uint32(heard))
			_ = b.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadFull(b, heard[:n]); err != nil {
				a.t.Fatal(err)
			}
			if bytes.Equal(heard[:min(n, 60)], f) {
				return true
			}
			_ = b.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
	})
}

// plugs lists the plugs of a link on all hosts, by a word in their command line.
func plugs(word string) (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if strings.HasPrefix(string(b), "vswitch\x00plug\x00") && strings.Contains(string(b), word) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

func TestLink(t *testing.T) {
	t.Parallel() // it waits much
	s := newSite(t)
	a, b := s.host("a", sshtest.Options{}), s.host("b", sshtest.Options{})
	_ = a
	// The whole path, so that no other test's plugs are taken for ours.
	for _, name := range []string{"a", "b"} {
		if err := os.Symlink("/run/vswitch/lab", filepath.Join(s.Dir, "sw-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	end := func(name string) string { return name + ":" + filepath.Join(s.Dir, "sw-"+name) }
	p := s.start("link", end("a"), end("b"))
	mgmttest.Until(t, "it is linked", func() bool { return strings.Contains(p.err.String(), "linked") })
	sa, sb := s.station("a"), s.station("b")
	sa.reaches(sb, 1)
	sb.reaches(sa, 2)
	for _, name := range []string{"a", "b"} {
		s.does(0, []string{"-r", name, "-s", "lab", "ports", "-o", "wide"}, "vswitch")
	}
	t.Run("keeps itself up", func(t *testing.T) {
		list := plugs(s.Dir)
		if len(list) != 2 {
			t.Fatalf("%d plugs", len(list))
		}
		hostSh(t, "kill -9 "+list[0])
		mgmttest.Until(t, "it is linked again", func() bool { return strings.Count(p.err.String(), "linked") == 2 })
		if !strings.Contains(p.err.String(), "the link is down: ") {
			t.Errorf("%s", &p.err)
		}
		sa.reaches(sb, 3)
		sb.reaches(sa, 4)
	})
	if code := p.interrupt(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	mgmttest.Until(t, "nothing is left", func() bool { return len(plugs(s.Dir)) == 0 })

	t.Run("to this host", func(t *testing.T) {
		sw := filepath.Join(s.Dir, "here")
		local := exec.Command(s.bin+"/vswitch", "-s", sw, "--quiet", "--port", "stream:unix:"+s.door("here"))
		local.SysProcAttr = linkProcessAttr()
		if err := local.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = local.Process.Kill(); _ = local.Wait() }()
		mgmttest.Until(t, "it is up", func() bool { _, err := os.Stat(sw + "/api"); return err == nil })
		p := s.start("link", sw, end("b"), "--once")
		mgmttest.Until(t, "it is linked", func() bool { return strings.Contains(p.err.String(), "linked") })
		here := s.station("here")
		here.reaches(sb, 5)
		sb.reaches(here, 6)
		_ = local.Process.Kill()
		<-p.ended
		if code := p.ProcessState.ExitCode(); code == 0 {
			t.Errorf("exit 0: %s", &p.err)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		s.does(4, []string{"link", end("a"), "b:nosuch"}, "nosuch")
		s.does(4, []string{"link", "nosuch.invalid:lab", end("b")}, "nosuch.invalid")
		s.does(2, []string{"link", "a:-x", end("b")}, "is no switch")
		s.does(2, []string{"link", "a,b:lab", end("b")}, "2 hosts")
		s.does(2, []string{"link", end("a")}, "missing")
		s.does(2, []string{"link", "--push", end("a"), end("b")}, "--push does not go with it")
		s.does(2, []string{"link", "-r", "a", end("a"), end("b")}, "--remote does not go with it")
		silent := deaf(t) + ":lab"
		s.does(4, []string{"link", "--timeout", "3s", end("a"), silent}, "no answer within 3s: "+silent)
	})
	b.Stop()
}
