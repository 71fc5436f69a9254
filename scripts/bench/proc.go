//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What the kernel says about processes and CPUs.

// cpuTime is what all threads of a process, ended ones too, have used: the kernel's own count in nanoseconds, not ticks.
func cpuTime(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// rssBytes is the resident memory of a process.
func rssBytes(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseRSS(string(b))
}

func parseRSS(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS line")
}

// idleTime is what all CPUs together have idled, waiting for disks included.
func idleTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseIdle(string(b))
}

func parseIdle(stat string) (time.Duration, error) {
	const tick = time.Second / 100 // USER_HZ, the same on every Linux that Go runs on
	f := strings.Fields(stat)
	if len(f) < 6 || f[0] != "cpu" {
		return 0, fmt.Errorf("read /proc/stat: no cpu line")
	}
	var sum int64
	for _, s := range f[4:6] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}
