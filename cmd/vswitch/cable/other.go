//go:build !linux

package cable

import (
	"fmt"
	"os"

	"vnetkit/mgmt/api"
	"vnetkit/switch/link"
)

// Run says that this system has no cables yet.
func Run([]string, []link.Kind) int {
	fmt.Fprintln(os.Stderr, "vswitch plug: works on Linux only")
	return api.ExitFailed
}

// Help is what vswitch plug --help prints.
func Help() string { return "" }
