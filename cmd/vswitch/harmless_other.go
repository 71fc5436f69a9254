//go:build !linux

package main

import "os"

var harmless []os.Signal
