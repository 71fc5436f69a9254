//go:build !linux

package sshtest

import "syscall"

func ownNamespace(bool) *syscall.SysProcAttr { return nil }
