//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// manageJob is somebody who looks at the switch, or changes it, beside the traffic.
type manageJob struct {
	Requests []string `json:",omitempty"` // "METHOD PATH BODY": asked in turn, or, if they have no end, all at once while it is on's turn
	Times    int      `json:",omitempty"` // of a request without end: this many of each
	Program  []string `json:",omitempty"` // command line of a program; SWITCH stands for the switch's directory
}

// managers are the roles that need no port.
var managers = map[string]func(*job, *shared) error{
	"ask":    ask,
	"follow": follow,
	"run":    runAgain,
	"watch":  watch,
	// at a VDE door (vdemanage.go)
	"console": askConsole,
	"attach":  attach,
}

// apiDir is the directory of the switch that the job's door belongs to.
func apiDir(j *job) string { return filepath.Dir(j.Link.Addr) }

// manage is the life of a manager: it is ready at once, and starts when traffic does.
func manage(j *job, s *shared, role func(*job, *shared) error) error {
	s.state.Store(statePlugged)
	waitFor(s, stateAnnounce)
	s.state.Store(stateReady)
	waitFor(s, stateGo)
	return role(j, s)
}

// caller is one connection to the api socket, as a program has it that asks again and again.
type caller struct {
	net.Conn
	r *bufio.Reader
}

// callSwitch connects, waiting a moment for the socket to appear.
func callSwitch(j *job) (*caller, error) {
	path := filepath.Join(apiDir(j), "api")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		nc, err := net.Dial("unix", path)
		if err == nil {
			return &caller{Conn: nc, r: bufio.NewReaderSize(nc, 64<<10)}, nil
		}
		if time.Now().After(end) {
			return nil, err
		}
	}
}

// request sends one and reads the answer's head.
func (c *caller) request(text string) (*http.Response, error) {
	f := append(strings.SplitN(text, " ", 3), "")
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: switch\r\nContent-Length: %d\r\n\r\n%s", f[0], f[1], len(f[2]), f[2]); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: f[0]})
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", text, resp.Status)
	}
	return resp, err
}

// ask makes one request after the other, at the job's rate, and notes how long each took until its last byte was there.
func ask(j *job, s *shared) error {
	c, err := callSwitch(j)
	if err != nil {
		return err
	}
	pace := newPacer(j.Rate, 1)
	for n := 0; ; n++ {
		pace.wait()
		start := time.Now()
		resp, err := c.request(j.Manage.Requests[n%len(j.Manage.Requests)])
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		s.add(uint32(min(time.Since(start), 4*time.Second)))
		s.sent.Add(1)
	}
}

// follow opens requests that have no end while it is on's turn, and reads them.
func follow(j *job, s *shared) error {
	for {
		for s.turn.Load() == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		var open []*caller
		for _, text := range j.Manage.Requests {
			for range j.Manage.Times {
				c, err := callSwitch(j)
				if err != nil {
					return err
				}
				resp, err := c.request(strings.ReplaceAll(text, "LATEST", latestEvent(j)))
				if err != nil {
					return err
				}
				open = append(open, c)
				go count(resp.Body, s)
			}
		}
		s.active.Store(1)
		for s.turn.Load() == 1 {
			time.Sleep(5 * time.Millisecond)
		}
		for _, c := range open {
			c.Close()
		}
		s.active.Store(0)
	}
}

// count reads to the end and counts bytes.
func count(r io.Reader, s *shared) {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		s.bytes.Add(uint64(n))
		if err != nil {
			return
		}
	}
}

// latestEvent is the number from which only new events are told; "0" where that cannot be known.
func latestEvent(j *job) string {
	var info struct {
		EventSeq json.Number `json:"event_seq"`
	}
	c, err := callSwitch(j)
	if err == nil {
		defer c.Close()
		var resp *http.Response
		if resp, err = c.request("GET /v1/info"); err == nil {
			err = json.NewDecoder(resp.Body).Decode(&info)
		}
	}
	if err != nil {
		return "0"
	}
	return info.EventSeq.String()
}

func command(j *job) *exec.Cmd {
	args := make([]string, len(j.Manage.Program))
	for i, a := range j.Manage.Program {
		args[i] = strings.ReplaceAll(a, "SWITCH", apiDir(j))
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "GO") { // as a user would start it
			cmd.Env = append(cmd.Env, kv)
		}
	}
	return cmd
}

// runAgain starts a program again and again, at the job's rate, and notes how long it took from the start until it had
// said everything and was gone.
func runAgain(j *job, s *shared) error {
	pace := newPacer(j.Rate, 1)
	for {
		pace.wait()
		cmd, start := command(j), time.Now()
		out, err := cmd.Output()
		if err != nil || len(out) == 0 {
			return fmt.Errorf("%v printed %d bytes: %w", cmd.Args, len(out), err)
		}
		s.add(uint32(min(time.Since(start), 4*time.Second)))
	}
}

// watch runs a program on a terminal, as large as an SSH session's, and notes the CPU time that it takes in each second.
func watch(j *job, s *shared) error {
	tty, screen, err := openTerminal()
	if err != nil {
		return err
	}
	cmd := command(j)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.Env = append(cmd.Env, "TERM=xterm")
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	go count(tty, s)
	before, err := cpuTime(cmd.Process.Pid)
	for err == nil {
		select {
		case err := <-ended:
			return fmt.Errorf("%v ended: %w", cmd.Args, err)
		case <-time.After(time.Second):
		}
		var now time.Duration
		if now, err = cpuTime(cmd.Process.Pid); err == nil {
			s.add(uint32(now - before))
			before = now
		}
	}
	return err
}

// openTerminal makes a pair: what draws uses screen, and who looks reads tty.
func openTerminal() (tty, screen *os.File, err error) {
	if tty, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	fd := int(tty.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	if err != nil {
		return nil, nil, fmt.Errorf("make a terminal: %w", err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return tty, screen, err
}
