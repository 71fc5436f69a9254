package packet

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzInterfaces has what is no answer of the kernel's refused or passed over.
func FuzzInterfaces(f *testing.F) {
	if data, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC); err == nil {
		f.Add(data)
		f.Add(data[:len(data)-5])
	}
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, data []byte) {
		list, _ := parseInterfaces(data)
		for _, i := range list {
			_ = cableOf(list, i.name, 1)
		}
	})
}

func FuzzInfoKind(f *testing.F) {
	f.Add([]byte{9, 0, 1, 0, 'v', 'e', 't', 'h', 0, 0, 0, 0})
	f.Add([]byte{4, 0, 2, 0, 11, 0, 1, 0, 'b', 'r', 'i', 'd', 'g', 'e', 0})
	f.Fuzz(func(_ *testing.T, data []byte) { _ = infoKind(data) })
}
