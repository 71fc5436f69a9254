//go:build !linux

package main

import "syscall"

func linkProcessAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
