//go:build !linux

package main

func kernelNeighbours() []neighbour { return nil }
