package hostnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The journal is a file of lines, each a checksum and a JSON object:
//
//	plan        first: everything that is needed to undo it
//	do N        before step N
//	did N       after step N was read back
//	applied     all steps are done; with the time until which to confirm
//
// A line is synced before what it announces. So a last line without its end
// announces what has not happened, and is left out; any other line that does
// not fit its checksum makes the journal useless, and nothing is guessed.
const (
	journalName    = "journal"
	journalVersion = 1
)

// entry is one line.
type entry struct {
	Event string    `json:"event"`
	Step  int       `json:"step,omitempty"`
	Until time.Time `json:"until,omitzero"` // applied
	Head  *heading  `json:"head,omitempty"` // plan
}

// heading is the line "plan".
type heading struct {
	Version int    `json:"version"`
	Boot    string `json:"boot"`
	NetNS   string `json:"netns"`
	PID     int    `json:"pid"`
	SSH     string `json:"ssh,omitempty"` // the connection that the run came over
	Plan    *Plan  `json:"plan"`
}

// journal is an open journal, or one that was read.
type journal struct {
	path    string
	file    *os.File // nil: only read
	head    heading
	reached int // steps begun
	applied bool
	until   time.Time
}

const (
	eventPlan    = "plan"
	eventDo      = "do"
	eventDid     = "did"
	eventApplied = "applied"
)

// createJournal writes the plan down. Nobody else has one: the caller holds the
// lock and has looked.
func createJournal(dir string, plan *Plan) (*journal, error) {
	j := &journal{path: filepath.Join(dir, journalName), head: heading{
		Version: journalVersion, Boot: bootID(), NetNS: netNS(), PID: os.Getpid(), SSH: SSHConnection(), Plan: plan,
	}}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, journalTrouble(err)
	}
	j.file = f
	err = j.write(entry{Event: eventPlan, Head: &j.head})
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(journalTrouble(err), f.Close(), os.Remove(j.path))
	}
	return j, nil
}

func journalTrouble(err error) error {
	e := &Error{Code: ErrJournal, Cause: "the journal cannot be written, and without it nothing is changed", Err: err, Cure: "df -h /run; mount | grep /run"}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		e.Code, e.Cure = ErrForbidden, "run it as root: sudo vnetctl ..."
	}
	return e
}

func (j *journal) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	// One write: a kill cannot leave a part of it.
	if _, err := fmt.Fprintf(j.file, "%08x %s\n", crc32.ChecksumIEEE(line), line); err != nil {
		return err
	}
	return j.file.Sync()
}

// readJournal reads the journal in dir; nil if there is none.
func readJournal(dir string) (*journal, error) {
	path := filepath.Join(dir, journalName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	j, err := parseJournal(text)
	if err != nil {
		return nil, &Error{Code: ErrJournal, Cause: "journal " + path + " cannot be trusted, so nothing is undone by it", Err: err,
			Cure: "look at it and at ip address and ip link; when the network is as it should be: rm " + path}
	}
	j.path = path
	return j, nil
}

func parseJournal(text []byte) (*journal, error) {
	j := &journal{}
	number := 0
	for len(text) > 0 {
		number++
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		if !whole {
			break // what it announces has not begun
		}
		var e entry
		sum, body, ok := strings.Cut(string(line), " ")
		if !ok || sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) {
			return nil, fmt.Errorf("line %d does not fit its checksum", number)
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if err := j.take(e, number); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return j, nil
}

// take adds what a line says.
func (j *journal) take(e entry, number int) error {
	if (number == 1) != (e.Event == eventPlan) {
		return fmt.Errorf("the event %q does not belong there", e.Event)
	}
	switch e.Event {
	case eventPlan:
		if e.Head == nil || e.Head.Plan == nil {
			return errors.New("no plan in it")
		}
		if e.Head.Version != journalVersion {
			return fmt.Errorf("it is of version %d, and this program reads %d", e.Head.Version, journalVersion)
		}
		j.head = *e.Head
	case eventDo, eventDid:
		if e.Step < 0 || e.Step >= len(j.head.Plan.Steps) {
			return fmt.Errorf("there is no step %d", e.Step)
		}
		j.reached = max(j.reached, e.Step+1)
	case eventApplied:
		j.applied, j.until = true, e.Until
	default:
		return fmt.Errorf("event %q is not known", e.Event)
	}
	return nil
}

// void tells whether the journal ends before its plan: nothing was done.
func (j *journal) void() bool { return j.head.Plan == nil }

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}

// remove ends the journal.
func (j *journal) remove() error {
	j.close()
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal: %w", err)
	}
	return syncDir(filepath.Dir(j.path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// netNS names the network namespace of this process.
func netNS() string {
	name, _ := os.Readlink("/proc/self/ns/net")
	return name
}

// writeFile replaces a file as a whole: whoever reads sees the old or the new.
func writeFile(path string, text []byte) (err error) {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if _, err = io.Copy(f, bytes.NewReader(text)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
