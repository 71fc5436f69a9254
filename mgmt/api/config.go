package api

// Config answers GET /v1/config.
type Config struct {
	File string `json:"file"` // what vswitch --config named, absolute; "": started without
	TOML string `json:"toml"` // the running configuration, as a file would say it
}

// Reloaded answers POST /v1/reload. A reload that fails changes nothing and
// yields an Error.
type Reloaded struct {
	File      string `json:"file"`
	DryRun    bool   `json:"dry_run,omitempty"` // nothing was changed: this is what would be
	Summary   string `json:"summary"`           // the four numbers in words
	Added     int    `json:"added"`             // ports and doors
	Changed   int    `json:"changed"`
	Removed   int    `json:"removed"`
	Unchanged int    `json:"unchanged"`

	Changes    []string `json:"changes"`    // each begins with "+ ", "- " or "~ "
	Restart    []string `json:"restart"`    // what the file wants and only a restart can do
	Overridden []string `json:"overridden"` // what the command line overrules
}

// ConfigSaved is what vnetctl config save --json prints.
type ConfigSaved struct {
	File    string   `json:"file"`
	Changed bool     `json:"changed"` // false: it said all of it already
	New     bool     `json:"new"`     // there was no such file
	Lost    []string `json:"lost"`    // comments that are gone
}

// ConfigDiff is what vnetctl config diff --json prints.
type ConfigDiff struct {
	File        string   `json:"file"`
	Differences []string `json:"differences"` // each begins with "+ ", "- " or "~ "
	Overridden  []string `json:"overridden"`  // what of the file the daemon's command line overrules
}
