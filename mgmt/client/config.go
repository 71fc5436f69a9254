package client

import (
	"context"

	"vnetkit/mgmt/api"
)

// Config is the running configuration, and where its file is.
func (c *Client) Config(ctx context.Context) (api.Config, error) {
	var cfg api.Config
	return cfg, c.call(ctx, "GET", "/v1/config", nil, &cfg)
}

// Reload makes the switch what its config file says now.
func (c *Client) Reload(ctx context.Context) (api.Reloaded, error) {
	var r api.Reloaded
	return r, c.call(ctx, "POST", "/v1/reload", nil, &r)
}

// TryReload says what Reload would do.
func (c *Client) TryReload(ctx context.Context) (api.Reloaded, error) {
	var r api.Reloaded
	return r, c.call(ctx, "POST", "/v1/reload?dry-run=true", nil, &r)
}
