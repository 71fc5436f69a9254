//go:build !unix

package main

func mayConnect(string) error { return nil }
func mayEnter(string) error   { return nil }
