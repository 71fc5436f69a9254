package qemu

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vnetkit/cmd/vmrun/netdev"
)

// probeTime is how long a QEMU may take to say what it can do.
const probeTime = 20 * time.Second

// Probe asks a QEMU binary what its netdevs can do. The answer is QEMU's own
// description of its commands, so that no version has to be known. What a
// binary said is kept in the directory cache ("": nowhere) until it changes.
func Probe(ctx context.Context, program, cache string) (caps netdev.Caps, err error) {
	info, err := os.Stat(program)
	if err != nil {
		return caps, fmt.Errorf("look at %s: %w", program, err)
	}
	id := sha256.Sum256(fmt.Appendf(nil, "1 %s %d %d", program, info.Size(), info.ModTime().UnixNano()))
	file := filepath.Join(cache, fmt.Sprintf("qemu-%x.json", id[:8]))
	if cache != "" {
		if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &caps) == nil && len(caps.Netdevs) > 0 {
			return caps, nil
		}
	}
	err = ask(ctx, program, nil, func(c *Client) error {
		var schema []entity
		if err := c.Execute("query-qmp-schema", nil, &schema); err != nil {
			return err
		}
		caps, err = read(schema)
		return err
	})
	if err != nil {
		return caps, fmt.Errorf("ask %s what it can do: %w", program, err)
	}
	if cache != "" {
		keep(file, caps) // the next time it is asked again, if need be
	}
	return caps, nil
}

// KVM tells whether a QEMU can run a VM with KVM, as fast as one may expect. An
// empty PC is run to the end of its firmware, which finds nothing to boot and
// resets it. That takes a fifth of a second, also without KVM. There are machines
// where it never returns, and such where every access to a device takes so long
// that a VM is faster without: after limit the answer is no, and the process is
// left to its fate. Other machines than PCs are only asked.
func KVM(ctx context.Context, program string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	run := func(ctx context.Context, program string) error {
		return firmware(ctx, program, "-machine", "accel=kvm", "-cpu", "host")
	}
	if name := filepath.Base(program); strings.HasPrefix(name, "qemu-system-") && !strings.HasSuffix(name, "x86_64") && !strings.HasSuffix(name, "i386") {
		run = queryKVM
	}
	done := make(chan error, 1)
	go func() { done <- run(ctx, program) }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}
	return fmt.Errorf("an empty VM is not through its firmware within %v", limit)
}

// firmware runs the firmware of an empty PC to its end.
func firmware(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, append(args, "-m", "16", "-nodefaults", "-no-user-config", "-display", "none",
		"-no-reboot", "-boot", "reboot-timeout=1")...)
	cmd.WaitDelay = time.Second
	dieWithUs(cmd)
	words, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(err, quote(string(words)))
	}
	return nil
}

func queryKVM(ctx context.Context, program string) error {
	var answer struct{ Enabled, Present bool }
	err := ask(ctx, program, []string{"-accel", "kvm"}, func(c *Client) error {
		return c.Execute("query-kvm", nil, &answer)
	})
	if err == nil && !answer.Enabled {
		err = errors.New("QEMU says that KVM is not enabled")
	}
	return err
}

// ask starts a QEMU without a machine that runs, and has f talk to it.
func ask(ctx context.Context, program string, args []string, f func(*Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	machine := []string{"-machine", "none"}
	cmd := exec.CommandContext(ctx, program, append(append(machine, args...), "-nodefaults", "-no-user-config", "-display", "none", "-S", "-qmp", "stdio")...)
	cmd.WaitDelay = time.Second
	dieWithUs(cmd)
	var words strings.Builder
	cmd.Stderr = &words
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c, err := newClient(&pipes{out, in})
	if err == nil {
		err = f(c)
	}
	if err == nil {
		_ = c.Execute("quit", nil, nil) // it may be gone before it answers
	} else {
		time.AfterFunc(time.Second, cancel) // if it does not end by itself, with its last words
	}
	_ = in.Close()
	_, _ = io.Copy(io.Discard, out)
	if waited := cmd.Wait(); err != nil {
		return errors.Join(err, waited, quote(words.String()))
	}
	return nil
}

// quote is what QEMU itself said, if it said anything.
func quote(words string) error {
	if words = strings.TrimSpace(words); words == "" {
		return nil
	}
	return fmt.Errorf("QEMU says: %s", words)
}

type pipes struct {
	io.Reader
	io.WriteCloser
}

// keep writes the file whole or not at all.
func keep(file string, caps netdev.Caps) {
	b, err := json.Marshal(caps)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".qemu-")
	if err != nil {
		return
	}
	_, err = tmp.Write(b)
	if errors.Join(err, tmp.Close()) != nil || os.Rename(tmp.Name(), file) != nil {
		_ = os.Remove(tmp.Name())
	}
}

// entity is one of the things that query-qmp-schema describes. Types have
// numbers instead of names.
type entity struct {
	Name     string `json:"name"`
	Meta     string `json:"meta-type"`
	Arg      string `json:"arg-type"`
	Members  []member
	Variants []struct{ Case, Type string }
}

type member struct{ Name, Type string }

// read finds the options of each netdev and of a socket chardev.
func read(schema []entity) (caps netdev.Caps, err error) {
	byName := map[string]entity{}
	for _, e := range schema {
		byName[e.Meta+" "+e.Name] = e
	}
	object := func(name string) entity { return byName["object "+name] }
	add := object(byName["command netdev_add"].Arg)
	if len(add.Variants) == 0 {
		return caps, errors.New("its description of netdev_add is not understood")
	}
	caps.Netdevs = map[string][]string{}
	for _, v := range add.Variants {
		names := []string{}
		for _, m := range object(v.Type).Members {
			names = append(names, m.Name)
		}
		caps.Netdevs[v.Case] = names
	}
	// chardev-add's argument "backend" is a union; each of its cases has its options in "data".
	for _, m := range object(byName["command chardev-add"].Arg).Members {
		for _, v := range object(m.Type).Variants {
			if m.Name != "backend" || v.Case != "socket" {
				continue
			}
			for _, data := range object(v.Type).Members {
				for _, o := range object(data.Type).Members {
					caps.Socket = append(caps.Socket, o.Name)
				}
			}
		}
	}
	return caps, nil
}
