package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What a card is plugged into ends with its VM. Where it ends before, because it was
// killed, the keeper starts it again: QEMU listens, for passt as for a switch, and
// takes another connection.

// kept is a process that is started again.
type kept struct {
	*process
	name  string
	start func() error
	last  time.Time     // when it was started again
	wait  time.Duration // until the next time
}

// kepts are those of the VM.
func (v *vm) kepts() (list []*kept) {
	for i := range v.Passts {
		if p := &v.Passts[i]; p.Path != "" {
			list = append(list, &kept{process: &p.process, name: "passt", start: func() error { return v.startPasst(p) }})
		}
	}
	for i := range v.Helpers {
		p := &v.Helpers[i]
		list = append(list, &kept{process: p, name: "a card's own switch", start: func() error {
			removeSocketsIn(filepath.Dir(p.Await), "*") // or they were taken for the new ones
			_, err := v.run(p, p.Argv)
			return err
		}})
	}
	return list
}

// maxWait is how long a process that ended waits at most to be started again: the
// time doubles, until one has lived for the longest wait.
const maxWait = 30 * time.Second

// watchProcesses starts a process again that ends before its VM, until done is closed.
func (v *vm) watchProcesses(done <-chan struct{}) {
	list := v.kepts()
	if len(list) == 0 {
		return
	}
	for again(done) {
		for _, k := range list {
			if k.alive() || time.Since(k.last) < k.wait || !v.QEMU.alive() {
				continue
			}
			if time.Since(k.last) > maxWait+k.wait {
				k.wait = watchEvery
			}
			k.last, k.wait = time.Now(), min(2*k.wait, maxWait)
			v.restart(k)
		}
	}
}

func (v *vm) restart(k *kept) {
	err := k.start()
	if err == nil {
		err = v.save()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "vmrun: %s has ended, and cannot be started again: %v\n", k.name, err)
		end(k.process)
		return
	}
	fmt.Fprintf(os.Stderr, "vmrun: %s has ended, and was started again\n", k.name)
}
