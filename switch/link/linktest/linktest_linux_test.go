package linktest_test

import (
	"testing"

	"vnetkit/switch/link/linktest"
)

func TestPipe(t *testing.T) { linktest.Run(t, linktest.Pipe) }
