package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
)

// With -r the same program runs on the other side, told so by --far=VERSION. It
// greets first, on both of its outputs, so that what a login prints can be told
// from what the verb says, and so that the near side knows whom it has reached.
// It reads a line, and takes the end of its input after that as an interrupt.
const (
	farVersion = 1 // changes when the two sides could not understand each other
	farGreets  = "vnetctl-far"
	farApplied = "vnetctl-far applied" // a change is done and waits for its confirmation
	farHello   = "go on until this ends\n"
	// farAgain is --far of a process that became root by running the program anew.
	farAgain = "+"
)

// greet is what the other side begins with.
func (a *app) greet(cmd *cobra.Command) error {
	wanted, again := strings.CutSuffix(a.remote.far, farAgain)
	if !again {
		fmt.Fprintf(a.out, "%s %d %s %s/%s\n", farGreets, farVersion, version, runtime.GOOS, runtime.GOARCH)
		fmt.Fprintln(a.err, farGreets)
	}
	if wanted != strconv.Itoa(farVersion) {
		e := usage("this vnetctl speaks version %d with others, not %s", farVersion, wanted)
		e.cure = "install the same version on both hosts, or use --push"
		return e
	}
	for i, arg := range os.Args {
		if arg == "--far="+wanted {
			os.Args[i] += farAgain
		}
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	cmd.SetContext(ctx)
	go endWithInput(cmd.InOrStdin(), again, cancel)
	return nil
}

// endWithInput cancels when the input ends after its first line. One that ends
// without a line was never connected.
func endWithInput(in io.Reader, greeted bool, cancel func()) {
	r := bufio.NewReader(in)
	if !greeted {
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, r)
	cancel()
}

// greeting takes an output of the other side apart: what comes before its
// greeting is kept aside, what follows is passed on.
type greeting struct {
	to     io.Writer
	heard  func(words []string) // the greeting without its first word; may be nil
	failed func(error)          // what cannot be passed on ends the run; may be nil
	before []byte
	done   bool
}

// maxBefore is how much a login may print.
const maxBefore = 64 << 10

// errGarbage ends a run whose other side does not come to the point.
var errGarbage = errors.New("it prints something else than vnetctl does")

func (g *greeting) Write(p []byte) (int, error) {
	n, err := g.write(p)
	if err != nil && g.failed != nil {
		g.failed(err)
	}
	return n, err
}

func (g *greeting) write(p []byte) (int, error) {
	if g.done {
		return g.to.Write(p)
	}
	seen := len(g.before)
	g.before = append(g.before, p...)
	start := strings.LastIndexByte(string(g.before[:seen]), '\n') + 1
	for {
		line, rest, whole := strings.Cut(string(g.before[start:]), "\n")
		if !whole {
			break
		}
		at := max(strings.LastIndex(line, farGreets), 0) // behind what a login prints without an end of line, a window's title say
		if words := strings.Fields(line[at:]); len(words) > 0 && words[0] == farGreets {
			g.done, g.before = true, g.before[:start+at]
			if g.heard != nil {
				g.heard(words[1:])
			}
			_, err := io.WriteString(g.to, rest)
			return len(p), err
		}
		start += len(line) + 1
	}
	if len(g.before) > maxBefore {
		return 0, errGarbage
	}
	return len(p), nil
}

// peer is who greeted.
type peer struct {
	major    int
	version  string
	platform string
}

func (p *peer) set(words []string) {
	for len(words) < 3 {
		words = append(words, "")
	}
	p.major, _ = strconv.Atoi(words[0]) // 0 is no version
	p.version, p.platform = words[1], words[2]
}

// check refuses a peer that could misunderstand.
func (p *peer) check() error {
	if p.major == farVersion {
		return nil
	}
	age := "newer"
	if p.major < farVersion {
		age = "older"
	}
	return &api.Error{Code: api.ErrBadAnswer, Message: fmt.Sprintf("vnetctl there (%s) is %s: it speaks version %d with others, this one %d", printable(p.version), age, p.major, farVersion),
		Hint: "install the same version on both hosts, or use --push"}
}
