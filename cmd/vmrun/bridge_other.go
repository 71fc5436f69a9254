//go:build !linux

package main

func isBridge(string) bool { return false }
