package hostnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/remote/shell"
)

// Switch runs a switch daemon as a user, with TAPs in its hands that the user
// could not open. The directory exists and is the user's.
type Switch struct {
	Program string   `json:"program"` // absolute
	Args    []string `json:"args"`    // may name descriptors from 3 on: the TAPs, in order
	Dir     string   `json:"dir"`     // of the switch; its socket Ready appears when it is up
	Ready   string   `json:"ready"`   // a path
	TAPs    []string `json:"taps,omitempty"`
	UID     int      `json:"uid"`
	GID     int      `json:"gid"`
	Groups  []uint32 `json:"groups,omitempty"`
	Record  string   `json:"record"` // file with the process's number and birth; its output goes to Record.log

	Macvtaps []string `json:"macvtaps,omitempty"` // which of TAPs are devices in /dev, for Text
}

const (
	switchStart = 10 * time.Second // until it must answer
	switchStop  = 5 * time.Second  // until it is killed
)

// process is what a Record holds: the number alone could be another's by now.
type process struct {
	PID  int    `json:"pid"`
	Born string `json:"born"` // field 22 of /proc/PID/stat
}

// Do starts the daemon. A shell holds its place until the process is recorded:
// were this process killed in between, the shell would find its input at its
// end and never become the daemon.
func (s *Switch) Do(h *Host) error {
	if p, ok := s.process(); ok && p.alive() {
		return refuse(ErrInUse, fmt.Sprintf("switch %s runs already, as process %d", s.Dir, p.PID), "kill %d", p.PID)
	}
	out, err := os.OpenFile(s.Record+".log", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	hold, pass, err := os.Pipe()
	if err != nil {
		return err
	}
	defer hold.Close()
	defer pass.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `read -r go && exec "$@" </dev/null`, "sh", s.Program}, s.Args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = hold, out, out
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID), Groups: s.Groups}
	}
	for _, name := range s.TAPs {
		f, err := h.attachTAP(name)
		if err != nil {
			return err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.Program, err)
	}
	ended := make(chan error, 1)
	p, err := describe(cmd.Process.Pid)
	if err == nil {
		text, _ := json.Marshal(p) // a number and a text
		err = writeFile(s.Record, append(text, '\n'))
	}
	if err == nil {
		_, err = pass.WriteString("go\n")
	}
	pass.Close()
	go func() { ended <- cmd.Wait() }()
	if err != nil {
		<-ended
		return fmt.Errorf("record switch process: %w", err)
	}
	return s.await(ended)
}

// await returns when the daemon takes connections.
func (s *Switch) await(ended <-chan error) error {
	deadline := time.NewTimer(switchStart)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("unix", s.Ready); err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("the switch ended at once: %s", s.lastWords())
		case <-deadline.C:
			return fmt.Errorf("the switch does not answer at %s after %v: %s", s.Ready, switchStart, s.lastWords())
		case <-tick.C:
		}
	}
}

// lastWords is the end of what the daemon said.
func (s *Switch) lastWords() string {
	text, _ := os.ReadFile(s.Record + ".log")
	text = bytes.TrimSpace(text)
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return string(text)
}

// attachTAP opens a queue of a TAP that exists.
func (h *Host) attachTAP(name string) (*os.File, error) {
	l, err := h.Link(name)
	if err == nil && l.Kind == "macvtap" {
		return openMacvtap(name)
	}
	if err != nil || l.Kind != "tuntap" { // opening would make one
		return nil, refuse(ErrNotFound, "there is no TAP "+name, "vnetctl create tap %s", name)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if errors.Is(err, unix.EBUSY) {
		err = refuse(ErrInUse, fmt.Sprintf("TAP %s is in use by %s", name, strings.Join(TAPHolders(name), ", ")), "choose another, or stop that first")
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open TAP %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// describe reads a process's birth, which with its number names it for ever.
func describe(pid int) (process, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, err
	}
	i := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[i+1:]))
	const state, birth = 0, 22 - 3 // counted behind the name
	if len(fields) <= birth {
		return process{}, errors.New("read process: its stat is cut off")
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return process{}, os.ErrProcessDone
	}
	return process{pid, fields[birth]}, nil
}

func (p process) alive() bool {
	now, err := describe(p.PID)
	return err == nil && now == p
}

func (s *Switch) process() (p process, ok bool) {
	text, err := os.ReadFile(s.Record)
	return p, err == nil && json.Unmarshal(text, &p) == nil && p.PID > 1
}

// PID is the daemon's process number; 0 when it does not run.
func (s *Switch) PID() int {
	if p, ok := s.process(); ok && p.alive() {
		return p.PID
	}
	return 0
}

// Done reads back.
func (s *Switch) Done(*Host) error {
	if s.PID() == 0 {
		return fmt.Errorf("the switch in %s does not run", s.Dir)
	}
	return nil
}

// Undo stops it and waits for its end.
func (s *Switch) Undo(*Host) error {
	if p, ok := s.process(); ok && p.alive() {
		if err := p.stop(); err != nil {
			return fmt.Errorf("stop switch %s: %w", s.Dir, err)
		}
	}
	clearDoors(s.Dir)
	for _, f := range []string{s.Record, s.Record + ".new", s.Record + ".log"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p process) stop() error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !p.alive() { // the number was given away before we held it
		return nil
	}
	for _, try := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{unix.SIGTERM, switchStop}, {unix.SIGKILL, switchStop}} {
		if err := unix.PidfdSendSignal(fd, try.signal, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return err
		}
		for deadline := time.Now().Add(try.wait); time.Now().Before(deadline); {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds())+1)
			if n > 0 {
				return nil
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
	return fmt.Errorf("process %d does not end", p.PID)
}

// Undone reads back.
func (s *Switch) Undone(*Host) error {
	if pid := s.PID(); pid != 0 {
		return fmt.Errorf("the switch in %s still runs, as process %d", s.Dir, pid)
	}
	return nil
}

// UndoText says how it is undone.
func (s *Switch) UndoText() (string, []string) {
	pid := "PID"
	if p, ok := s.process(); ok {
		pid = strconv.Itoa(p.PID)
	}
	return "stop switch " + s.Dir, []string{"kill " + pid}
}

// MakeDir makes a directory for a user, or finds it as it would make it.
type MakeDir struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"` // as in chmod(2)
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Do makes it.
func (s *MakeDir) Do(h *Host) error {
	err := unix.Mkdir(s.Path, 0o700)
	if errors.Is(err, unix.EEXIST) && s.Done(h) == nil {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "make directory", Path: s.Path, Err: err}
	}
	// By descriptor: a link that takes its place gives nothing away.
	fd, err := unix.Open(s.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open directory", Path: s.Path, Err: err}
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Fchown(fd, s.UID, s.GID), unix.Fchmod(fd, s.Mode)); err != nil {
		return &fs.PathError{Op: "give away directory", Path: s.Path, Err: err}
	}
	return nil
}

// Done reads back.
func (s *MakeDir) Done(*Host) error {
	var st unix.Stat_t
	if err := unix.Lstat(s.Path, &st); err != nil {
		return &fs.PathError{Op: "look at", Path: s.Path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o7777 != s.Mode || int(st.Uid) != s.UID || int(st.Gid) != s.GID {
		return fmt.Errorf("directory %s is user %d's, group %d, mode %04o; not user %d's, group %d, mode %04o", s.Path, st.Uid, st.Gid, st.Mode&0o7777, s.UID, s.GID, s.Mode)
	}
	return nil
}

// Undo removes it, unless somebody put something into it.
func (s *MakeDir) Undo(*Host) error {
	err := unix.Rmdir(s.Path)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.ENOTDIR) {
		return &fs.PathError{Op: "remove directory", Path: s.Path, Err: err}
	}
	return nil
}

// Undone has nothing to say: a directory with others' files stays.
func (s *MakeDir) Undone(*Host) error { return nil }

// Text says what it does.
func (s *MakeDir) Text() (string, []string) {
	return "make directory " + s.Path, []string{fmt.Sprintf("install -d -o %d -g %d -m %04o %s", s.UID, s.GID, s.Mode, shell.Quote([]string{s.Path}))}
}

// UndoText says how it is undone.
func (s *MakeDir) UndoText() (string, []string) {
	return "remove directory " + s.Path, []string{"rmdir " + shell.Quote([]string{s.Path})}
}

// recordName is a file name that no other directory has: of /run/a-b, it is
// another one than of /run/a/b.
func recordName(dir string) string {
	return "switch-" + strings.NewReplacer("_", "__", "-", "_-", "/", "-").Replace(strings.Trim(dir, "/"))
}

// LostSwitches are the records of switches that run and are in no state: files
// in the engine's directory.
func LostSwitches(dir string, s *State) (files []string) {
	known := map[string]bool{}
	for _, o := range s.Objects {
		if run := runOf(o); run != nil {
			known[run.Record] = true
		}
	}
	records, _ := filepath.Glob(filepath.Join(dir, "switch-*"))
	for _, path := range records {
		if r := (&Switch{Record: path}); !known[path] && filepath.Ext(path) != ".log" && r.PID() != 0 {
			files = append(files, path)
		}
	}
	return files
}
