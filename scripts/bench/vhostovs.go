//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Open vSwitch with DPDK as the other side of the loop: a learning switch with one thread that polls, and does nothing else.

const (
	ovsDPDK = "ovs-dpdk"
	// ovsProgram is not what is called ovs-vswitchd, unless somebody has made it the alternative.
	ovsProgram = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
)

func noOVSDPDK() string {
	if os.Geteuid() != 0 {
		return "it needs root for namespaces of its own"
	}
	if _, err := os.Stat(ovsProgram); err != nil {
		return fmt.Sprintf("%s is not installed (package openvswitch-switch-dpdk)", ovsProgram)
	}
	return notInstalled("ovsdb-server", "openvswitch-common")()
}

// ovsBed is Open vSwitch with everything that it makes in the bed's directory.
type ovsBed struct {
	b      *bed
	remote string
	run    vhostRunning
}

// startOVSDPDK has no huge pages, as testpmd here has none; Open vSwitch asks for what does not go with that unless it is
// told of legacy memory. Its control thread, too, runs on the switch's CPU.
func startOVSDPDK(b *bed, v vhostTraffic) (vhostRunning, error) {
	o := &ovsBed{b: b, remote: filepath.Join(b.dir, "db.sock")}
	o.run.paths = [2]string{filepath.Join(b.dir, "v0"), filepath.Join(b.dir, "v1")}
	for _, step := range []func() error{o.startDB, o.startSwitch, func() error { return o.addPorts(v) }} {
		if err := step(); err != nil {
			return o.run, err
		}
	}
	return o.run, nil
}

func (o *ovsBed) startDB() error {
	db := filepath.Join(o.b.dir, "conf.db")
	if out, err := exec.Command("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema").CombinedOutput(); err != nil {
		return fmt.Errorf("ovsdb-tool: %w: %s", err, out)
	}
	p, err := startOn(o.b, "ovsdb-server", ovsIn(o.b.dir, exec.Command("ovsdb-server", db, "--no-chdir", "--remote=punix:"+o.remote)), loopSwitch)
	if err != nil {
		return err
	}
	o.run.procs = append(o.run.procs, p)
	return awaitFiles(p, o.remote)
}

func (o *ovsBed) vsctl(args ...string) (string, error) {
	out, err := ovsIn(o.b.dir, exec.Command("ovs-vsctl", append([]string{"--db=unix:" + o.remote, "--timeout=20"}, args...)...)).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("ovs-vsctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// startSwitch runs ovs-vswitchd in namespaces of its own: the bridge is a network device, and DPDK writes to /run. They
// end with it.
func (o *ovsBed) startSwitch() error {
	if _, err := o.vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
		fmt.Sprintf("other_config:pmd-cpu-mask=%#x", 1<<loopSwitch), fmt.Sprintf("other_config:dpdk-lcore-mask=%#x", 1<<loopSwitch),
		"other_config:per-port-memory=true", // as much as the ports need, not a gigabyte
		"other_config:dpdk-extra=--no-huge --legacy-mem -m 512 --no-pci --no-telemetry --file-prefix ovs"); err != nil {
		return err
	}
	cmd := ovsIn(o.b.dir, exec.Command("sh", "-c", `mount -t tmpfs none /run && exec "$@"`, "sh", ovsProgram, "unix:"+o.remote, "--no-chdir", "--disable-system"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS}
	p, err := startOn(o.b, "ovs-vswitchd", cmd, loopSwitch)
	if err != nil {
		return err
	}
	o.run.proc, o.run.procs = p, append(o.run.procs, p)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		started, err := o.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized")
		switch {
		case p.dead() != nil:
			return p.dead()
		case err == nil && started == "true":
			return nil
		case time.Now().After(end):
			return fmt.Errorf("ovs-vswitchd could not start DPDK (%s, %w): %s", started, err, strings.TrimSpace(p.stderr.String()))
		}
	}
}

func (o *ovsBed) addPorts(v vhostTraffic) error {
	args := []string{"add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"}
	for _, path := range o.run.paths {
		name := filepath.Base(path)
		args = append(args, "--", "add-port", "br0", name, "--", "set", "interface", name, "type=dpdkvhostuser",
			"mtu_request="+strconv.Itoa(max(1500, v.size-14)))
	}
	if _, err := o.vsctl(args...); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(o.run.proc.stderr.String()))
	}
	return awaitFiles(o.run.proc, o.run.paths[:]...)
}
