package main

import "vnetkit/mgmt/api"

// changeAnswer is what create and cancel print with --json.
type changeAnswer struct {
	Changed bool         `json:"changed"`
	DryRun  bool         `json:"dry_run"`
	Made    []hostObject `json:"made"`
	Removed []hostObject `json:"removed"`
	Steps   []hostStep   `json:"steps"`
	Reasons []string     `json:"reasons"`          // where choices come from
	Notes   []string     `json:"notes"`            // what was left as it is
	Danger  string       `json:"danger,omitempty"` // why it could cut the admin off
	Confirm float64      `json:"confirm_seconds"`  // 0: nobody needed to confirm
}

// hostObject is something on the host.
type hostObject struct {
	Kind string `json:"kind"` // bridge, tap or switch
	Name string `json:"name"`
}

// hostStep is a step of a plan.
type hostStep struct {
	Text     string   `json:"text"`
	Commands []string `json:"commands"` // what an admin would type
	Undo     []string `json:"undo"`
}

// finding is one line of an examination.
type finding struct {
	State string `json:"state"` // ok, warn or fail
	What  string `json:"what"`  // the object
	Text  string `json:"text"`  // what was seen
	Cure  string `json:"cure,omitempty"`
}

// checkAnswer is what check --json prints.
type checkAnswer struct {
	Findings []finding `json:"findings"`
	Warnings int       `json:"warnings"`
	Failures int       `json:"failures"`
}

// decisionAnswer is what confirm and recover print with --json.
type decisionAnswer struct {
	Verb   string `json:"verb"`   // of the change; empty: there was none
	Undone int    `json:"undone"` // steps
	Kept   bool   `json:"kept"`   // it stays
	Stale  bool   `json:"stale"`  // it was of another boot, which took it with it
}

// restored is what became of objects that were wished for together.
type restored struct {
	User    string       `json:"user"`
	Objects []hostObject `json:"objects"`
	State   string       `json:"state"` // "made", "planned" (--dry-run), "unchanged" or "failed"
	Error   *api.Error   `json:"error,omitempty"`
}

// restoreAnswer is what restore prints with --json.
type restoreAnswer struct {
	Sets     []restored `json:"sets"`
	Failures int        `json:"failures"`
}
