package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/cmd/vmrun/qemu"
	"vnetkit/mgmt/api"
)

// startTime is how long QEMU and its helpers may take to come up.
const startTime = 60 * time.Second

// keep hands the VM to a keeper and tells how it went.
func (o *order) keep(ctx context.Context, path string, argv []string, remark string, e env) error {
	dir, err := vmDir(o.vm.Name)
	if err != nil {
		return err
	}
	lock, err := lockNew(dir)
	if err != nil {
		return err
	}
	defer lock.Close() // the keeper has it, too
	old, none := load(o.vm.Name)
	if none == nil {
		if s := old.state(); s != "stopped" {
			return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("a VM %s is %s, pid %d", old.Name, s, max(old.QEMU.PID, old.Keeper.PID)), Hint: "vmrun stop " + old.Name + ", or give this one another --name"}
		}
		old.sweep()
	}
	v := o.record(dir, path, argv)
	v.Keeper = thisProcess() // until there is one
	if err := errors.Join(o.writeSeed(), v.save()); err != nil {
		if none != nil {
			_ = v.forget()
		}
		return stateError(err)
	}
	if err := v.launch(ctx, lock); err != nil {
		return err
	}
	if v, err = load(v.Name); err != nil {
		return err
	}
	if remark != "" {
		fmt.Fprintln(e.stderr, "vmrun: "+remark)
	}
	fmt.Fprintf(e.stdout, "%s runs, pid %d\n", v.Name, v.QEMU.PID)
	if v.SSH > 0 {
		fmt.Fprintf(e.stdout, "  ssh      127.0.0.1 port %d\n", v.SSH)
	}
	for i, n := range v.Nets {
		fmt.Fprintf(e.stdout, "  card %d   %-17s  %s\n", i, v.macText(i), n)
	}
	fmt.Fprintf(e.stdout, "  console  vmrun console %s\n", v.Name)
	return nil
}

// record is the VM that is to be.
func (o *order) record(dir, path string, argv []string) *vm {
	v := &vm{Name: o.vm.Name, Created: time.Now().UTC().Truncate(time.Second), Program: path, SSH: o.ssh, After: o.after, dir: dir}
	v.Argv = append(argv[1:], "-chardev", "socket,id=vmrunqmp,path="+comma(v.path("qmp"))+",server=on,wait=off", "-mon", "chardev=vmrunqmp,mode=control",
		"-chardev", "socket,id="+consoleID+",path="+comma(v.path("console"))+",server=on,wait=off,logfile="+comma(v.path("serial")),
		"-serial", "chardev:"+consoleID)
	// Behind the cards, which keep their places on the PCI bus and so their names in
	// the guest. QEMU takes one port of a name.
	if !strings.Contains(strings.Join(o.vm.QEMU, " "), qemu.AgentPort) {
		bus := "virtio-serial-pci"
		if noPCI(o.vm.QEMU) {
			bus = "virtio-serial-device"
		}
		v.Argv = append(v.Argv, "-chardev", "socket,id=vmrunagent,path="+comma(v.path("agent"))+",server=on,wait=off",
			"-device", bus, "-device", "virtserialport,chardev=vmrunagent,name="+qemu.AgentPort)
	}
	for i, n := range o.vm.Nets {
		v.Nets = append(v.Nets, n.String())
		mac := o.vm.macOf(n, i).String()
		if !hasAddress(n) {
			mac = ""
		}
		v.MACs, v.Links = append(v.MACs, mac), append(v.Links, n.Get("link"))
		up := fmt.Sprintf("up%d", i)
		if n.Get("script") == v.path(up) {
			v.Scripts = append(v.Scripts, script{up, bridgeScript(n)})
		}
		if n.Mode == "direct" && slices.Contains(o.macvtaps, i) {
			v.Macvtaps = append(v.Macvtaps, macvtap{Parent: n.Get("dev"), Mode: n.Get("mode"), MAC: mac})
		}
		if n.Has("listen") && n.Mode != "passt" {
			v.Ports = append(v.Ports, o.dialled(n, i))
		}
		if n.Mode == "server" && n.Has("sock") {
			door := filepath.Join(n.Get("sock"), api.StreamName) // the last that a switch opens
			v.Helpers = append(v.Helpers, process{Argv: serverArgs(n), Await: door})
		}
		if slices.Contains(o.passts, i) {
			v.Passts = append(v.Passts, passt{process: process{Argv: passtArgs(n)}, Path: n.Get("listen")})
		}
	}
	return v
}

// launch starts the keeper and waits until it says that QEMU runs, or why not.
func (v *vm) launch(ctx context.Context, lock *os.File) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_APPEND | os.O_WRONLY
	if !v.QEMU.alive() {
		flags |= os.O_TRUNC
	}
	log, err := os.OpenFile(v.path("log"), flags, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	said, say, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.CommandContext(ctx, own, keeperVerb, v.Name)
	cmd.Cancel = func() error { return nil } // it goes on without us
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{say, lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = say.Close()
	if err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	var answer struct{ Error, Hint string }
	if err := json.NewDecoder(said).Decode(&answer); err != nil {
		_ = cmd.Wait()
		return fmt.Errorf("the keeper ended without a word (see %s): %w", v.path("log"), err)
	}
	if answer.Error != "" {
		_ = cmd.Wait()
		if answer.Hint == "" {
			answer.Hint = "vmrun --print shows what was asked of QEMU; its words are in " + v.path("log")
		}
		return &api.Error{Code: api.ErrFailed, Message: answer.Error, Hint: answer.Hint}
	}
	return cmd.Process.Release()
}

const keeperVerb = "keep-vm"

// keeper is the process that runs beside a VM: it starts what the VM needs, or takes
// over a VM that runs, says on descriptor 3 how that went, waits for QEMU's end and
// clears up. Descriptor 4 is the VM's lock.
func keeper(name string) error {
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGPIPE)
	say := os.NewFile(3, "who waits")
	v, err := load(name)
	if err != nil {
		_ = json.NewEncoder(say).Encode(map[string]string{"Error": err.Error()})
		return err
	}
	begin, runs := v.begin, v.QEMU.alive()
	if runs {
		begin = v.adopt
	}
	wait, err := begin()
	answer := map[string]string{}
	if err != nil {
		answer["Error"] = err.Error()
		var typed *api.Error
		if errors.As(err, &typed) {
			answer["Error"], answer["Hint"] = typed.Message, typed.Hint
		}
	}
	told := json.NewEncoder(say).Encode(answer)
	_ = say.Close()
	if err == nil && !runs && told != nil { // Ctrl-C
		fmt.Fprintln(os.Stderr, "vmrun: who has asked for the VM is gone: it ends")
		_ = v.kill()
	}
	if err == nil {
		done := make(chan struct{})
		var watches sync.WaitGroup
		watches.Go(func() { v.watchPorts(done) })
		watches.Go(func() { v.watchProcesses(done) })
		wait()
		close(done)
		watches.Wait() // they begin what is to be cleared up
	} else if runs {
		return err
	}
	v.clear()
	return nil
}

// begin starts helpers and QEMU; what has been begun is undone by clear.
func (v *vm) begin() (wait func(), err error) {
	v.Keeper = thisProcess()
	if err := v.save(); err != nil {
		return nil, err
	}
	for _, s := range v.Scripts {
		if err := os.WriteFile(v.path(s.Name), []byte(s.Text), 0o700); err != nil {
			return nil, err
		}
	}
	v.removeSockets() // of a life before: the lock is ours
	if err := v.preparePorts(); err != nil {
		return nil, err
	}
	for i := range v.Helpers {
		if _, err := v.run(&v.Helpers[i], v.Helpers[i].Argv); err != nil {
			return nil, err
		}
		if err := v.save(); err != nil {
			return nil, err
		}
	}
	files, err := v.openMacvtaps()
	defer func() {
		for _, f := range files {
			_ = f.Close() // QEMU's now
		}
	}()
	if err != nil {
		return nil, err
	}
	cmd, err := v.run(&v.QEMU, append([]string{v.Program}, v.Argv...), files...)
	if err == nil {
		err = v.save()
	}
	if err == nil {
		err = v.greet(cmd)
	}
	if err == nil {
		err = v.startPassts()
	}
	if err == nil {
		err = v.addPorts()
	}
	if err != nil && cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return func() { _ = cmd.Wait() }, err
}

// run starts a process that outlives the keeper and gets files from its
// descriptor 3 on, and waits for its socket.
func (v *vm) run(p *process, argv []string, files ...*os.File) (*exec.Cmd, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p.PID, p.Began = cmd.Process.Pid, began(cmd.Process.Pid)
	if p.Await == "" {
		return cmd, nil
	}
	go func() { _ = cmd.Wait() }()
	return cmd, v.await(argv[0], func() bool {
		_, err := os.Lstat(p.Await)
		return err == nil
	}, p.alive)
}

// await waits for something that a process is to do.
func (v *vm) await(what string, done, alive func() bool) error {
	for deadline := time.Now().Add(startTime); !done(); time.Sleep(5 * time.Millisecond) {
		switch {
		case !alive():
			return fmt.Errorf("%s ended at once: %s", what, v.lastWords())
		case time.Now().After(deadline):
			return fmt.Errorf("%s does not come up: %s", what, v.lastWords())
		}
	}
	return nil
}

// greet waits for QEMU's monitor and sets what has no argument.
func (v *vm) greet(cmd *exec.Cmd) error {
	var c *qemu.Client
	err := v.await("QEMU", func() (ok bool) {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		var err error
		c, err = qemu.Dial(ctx, v.path("qmp"))
		return err == nil
	}, func() bool { return began(cmd.Process.Pid) != "" })
	if err != nil {
		return &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: qemuCure(err.Error())}
	}
	defer c.Close()
	for i, l := range v.Links {
		if l == "down" {
			if err := c.Execute("set_link", map[string]any{"name": fmt.Sprintf("vnet%d", i), "up": false}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastWords are the ends of what was said on the log.
func (v *vm) lastWords() string {
	f, err := os.Open(v.path("log"))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(io.LimitReader(f, 1<<20)); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasSuffix(line, "bytes to syslog") { // passt's sigh where there is no syslog
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "it said nothing"
	}
	return "it says: " + strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// runLogged runs a command that is due after QEMU's end.
func (v *vm) runLogged(argv []string) {
	log, err := os.OpenFile(v.path("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(log, "vmrun: %s: %v\n", strings.Join(argv, " "), err)
	}
}

// end ends a helper.
func end(p *process) {
	if p.alive() {
		_ = syscall.Kill(p.PID, syscall.SIGTERM)
		for deadline := time.Now().Add(2 * time.Second); p.alive() && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if p.alive() {
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
	p.PID = 0
}

// kill ends QEMU without asking the guest.
func (v *vm) kill() error {
	if !v.QEMU.alive() {
		return nil
	}
	if err := syscall.Kill(v.QEMU.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill QEMU, pid %s: %w", strconv.Itoa(v.QEMU.PID), err)
	}
	return nil
}
