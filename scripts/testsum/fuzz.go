package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// A target is a fuzz function.
type target struct{ dir, name string }

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// targets finds the fuzz functions below root.
func targets(root string) (list []target, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (d.Name()[0] == '.' || d.Name() == "testdata"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range fuzzFunc.FindAllSubmatch(text, -1) {
			list = append(list, target{filepath.Dir(path), string(match[1])})
		}
		return nil
	})
	return list, err
}

// timeUp is how a fuzz run that found nothing ends now and then: when the time
// given by -fuzztime is over, the coordinator can take that for a failure
// (go.dev/issue/75804, mended in Go 1.27). What it found has more lines here.
var timeUp = regexp.MustCompile(`(?m)^--- FAIL: Fuzz\w+ \(\S+\)\n    context deadline exceeded\nFAIL$`)

// fuzz runs each fuzz function below root for a while: as many at a time as there
// are CPUs, each with one worker, since half of the time of a short run goes into
// compiling, linking and looking at what was found before.
func (r recorder) fuzz(root, fuzztime string) error {
	list, err := targets(root)
	if err != nil {
		return err
	}
	free, ended := make(chan struct{}, runtime.NumCPU()), make(chan outcome)
	for _, t := range list {
		// Left alone, go fuzz spends up to a minute on making each input smaller
		// that reached new code: a short run then does little else, and fails
		// when it is asked to stop meanwhile.
		argv := []string{"go", "test", "-run", "^$", "-fuzz", "^" + t.name + "$", "-fuzztime", fuzztime, "-fuzzminimizetime", "10x", "-parallel", "1", "./" + t.dir}
		go func() {
			free <- struct{}{}
			o := attempt(timeUp, "fuzz ./"+t.dir+" "+t.name, argv)
			<-free
			ended <- o
		}()
	}
	for range list {
		err = errors.Join(err, r.note(<-ended))
	}
	return err
}
