//go:build !unix

package client

import "io/fs"

func ownerNames(fs.FileInfo) (name, group string) { return "", "" }
