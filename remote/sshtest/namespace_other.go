//go:build !linux

package sshtest

import "syscall"

func ownNamespace() *syscall.SysProcAttr { return nil }
