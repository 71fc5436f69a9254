package main

import (
	"testing"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/mgmttest"
)

// listPorts asks the switch as vnetctl does.
func listPorts(t *testing.T, s *mgmttest.Switch) ([]api.Port, error) {
	t.Helper()
	c, err := client.Dial(s.Dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Ports(t.Context())
}
