//go:build !linux

package main

func (v *vm) removeMacvtaps() error { return nil }
