// Package tools knows the tools that are compared: where they come from, how each is told
// what to copy, and with which settings.
package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Place is where an image is: in a registry that has a host, or in a layout.
type Place struct {
	Host, Repository string
	Layout           string
	Tag              string
}

// name returns the place with one prefix or the other, in the form that most tools take.
func (p Place) name(registry, layout string) string {
	if p.Host == "" {
		return layout + p.Layout + ":" + p.Tag
	}
	return registry + p.repository() + ":" + p.Tag
}

func (p Place) repository() string { return p.Host + "/" + p.Repository }

// Copy is what a tool is told to do.
type Copy struct {
	From, To Place
	// Platform is the only one that is copied, as linux/arm64, without its list; empty for all.
	Platform string
	// Tags are all that the source has, to be copied one and all; nil for that of the places.
	Tags []string
}

// Route is between what an image is copied.
type Route string

// The routes.
const (
	Registries   Route = "registry → registry"
	ToLayout     Route = "registry → OCI layout"
	FromLayout   Route = "OCI layout → registry"
	SameRegistry Route = "registry → same registry, other repository"
)

// Kind says what a tool is in a comparison.
type Kind string

// The kinds.
const (
	Own   Kind = "own"   // Dhow
	Peer  Kind = "peer"  // another tool as it comes
	Tuned Kind = "tuned" // a peer told to do more at once
)

// Tool is a program with the settings it is run with.
type Tool struct {
	ID   string // what the flag -tools and the tables name it by
	Kind Kind
	// Trusts are the routes on which it does not hash what it copies, but leaves that to the
	// destination.
	Trusts []Route
	// Binary is the program, found in the folder of binaries unless it is a path.
	Binary string

	// args returns the arguments for a copy of one tag, allTags those for all of them; nil
	// where that takes a command for each.
	args, allTags func(Copy) []string
	setup         func(home string, c Copy) (env []string, err error)

	// export returns the arguments for bringing what was copied to a layout from a local
	// store into that layout; nil where it is there.
	export func(Copy) []string
}

// Run is a tool made ready for one copy.
type Run struct {
	Argv, Env []string
}

// Prepare makes a tool ready for a copy, with an empty home directory of its own below
// state, which is emptied.
func (t Tool) Prepare(binaries, state string, c Copy) (Run, error) {
	return t.prepare(binaries, state, c, t.argv)
}

// PrepareExport makes a tool ready that has written to a local store, below the layout that
// it was told, to bring the image into that layout, where it is looked at. It reports
// whether the tool has done so.
func (t Tool) PrepareExport(binaries, state string, c Copy) (run Run, stored bool, err error) {
	if t.export == nil {
		return Run{}, false, nil
	}
	run, err = t.prepare(binaries, state, c, func(binary string, c Copy) []string { return append([]string{binary}, t.export(c)...) })
	return run, true, err
}

func (t Tool) prepare(binaries, state string, c Copy, argv func(binary string, c Copy) []string) (Run, error) {
	if err := os.RemoveAll(state); err != nil {
		return Run{}, fmt.Errorf("preparing %s: %w", t.ID, err)
	}
	home, tmp := filepath.Join(state, "home"), filepath.Join(state, "tmp")
	for _, dir := range []string{home, tmp} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return Run{}, fmt.Errorf("preparing %s: %w", t.ID, err)
		}
	}
	env := []string{"HOME=" + home, "TMPDIR=" + tmp, "XDG_RUNTIME_DIR=" + tmp, "PATH=/usr/bin:/bin"}
	if t.setup != nil {
		more, err := t.setup(home, c)
		if err != nil {
			return Run{}, fmt.Errorf("preparing %s: %w", t.ID, err)
		}
		env = append(env, more...)
	}
	binary := t.Binary
	if !filepath.IsAbs(binary) {
		binary = filepath.Join(binaries, binary)
	}
	return Run{Argv: argv(binary, c), Env: env}, nil
}

// argv is the command of a copy.
func (t Tool) argv(binary string, c Copy) []string {
	switch {
	case len(c.Tags) == 0:
		return append([]string{binary}, t.args(c)...)
	case t.allTags != nil:
		return append([]string{binary}, t.allTags(c)...)
	}
	var script strings.Builder
	for _, tag := range c.Tags {
		c.From.Tag, c.To.Tag = tag, tag
		for _, arg := range append([]string{binary}, t.args(c)...) {
			script.WriteString("'" + strings.ReplaceAll(arg, "'", `'\''`) + "' ")
		}
		script.WriteByte('\n')
	}
	return []string{"/bin/sh", "-ec", script.String()}
}
