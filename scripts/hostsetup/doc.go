// Package hostsetup tests scripts/host-setup, which is what make install calls: on a
// copy of this machine's file system that nobody else sees, an overlay in a mount
// namespace.
package hostsetup
