//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: it measures Linux switches with Linux system calls, and runs on Linux only")
	os.Exit(1)
}
