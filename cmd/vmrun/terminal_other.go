//go:build !linux

package main

import "os"

func rawTerminal(*os.File) func() { return func() {} }
