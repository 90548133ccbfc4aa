// Package tools knows the tools that are compared: where they come from, how each is told
// what to copy, and with which settings.
package tools

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// atOnce is what the peers are tuned to in the rows that say so.
const atOnce = 16

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
	return registry + p.Host + "/" + p.Repository + ":" + p.Tag
}

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
	// Hashes says that it checks what it copies between registries itself.
	Hashes bool
	// Binary is the program, found in the folder of binaries unless it is a path.
	Binary string

	args  func(from, to Place) ([]string, error)
	setup func(home string, from, to Place) (env []string, err error)
}

// Run is a tool made ready for one copy.
type Run struct {
	Argv, Env []string
}

// Prepare makes a tool ready to copy one place to the other, with an empty home directory
// of its own below state, which is emptied.
func (t Tool) Prepare(binaries, state string, from, to Place) (Run, error) {
	args, err := t.args(from, to)
	if err != nil {
		return Run{}, fmt.Errorf("%s: %w", t.ID, err)
	}
	if err := os.RemoveAll(state); err != nil {
		return Run{}, err
	}
	home, tmp := filepath.Join(state, "home"), filepath.Join(state, "tmp")
	for _, dir := range []string{home, tmp} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return Run{}, err
		}
	}
	env := []string{"HOME=" + home, "TMPDIR=" + tmp, "XDG_RUNTIME_DIR=" + tmp, "PATH=/usr/bin:/bin"}
	if t.setup != nil {
		more, err := t.setup(home, from, to)
		if err != nil {
			return Run{}, fmt.Errorf("%s: %w", t.ID, err)
		}
		env = append(env, more...)
	}
	binary := t.Binary
	if !filepath.IsAbs(binary) {
		binary = filepath.Join(binaries, binary)
	}
	return Run{Argv: append([]string{binary}, args...), Env: env}, nil
}

// Dhow returns Dhow at a path under a name, with flags for copy.
func Dhow(id, path string, flags ...string) Tool {
	return Tool{ID: id, Kind: Own, Hashes: true, Binary: path, args: func(from, to Place) ([]string, error) {
		args := append([]string{"copy"}, flags...)
		if from.Host != "" {
			args = append(args, "--src-tls-verify=false")
		}
		if to.Host != "" {
			args = append(args, "--dest-tls-verify=false")
		}
		return append(args, from.name("docker://", "oci:"), to.name("docker://", "oci:")), nil
	}}
}

// Peers returns the other tools, as they come and tuned.
func Peers() []Tool {
	return []Tool{
		{ID: "crane", Kind: Peer, Hashes: true, Binary: "crane", args: crane},
		{ID: "regctl", Kind: Peer, Hashes: true, Binary: "regctl", args: regctl, setup: regctlConfig(0)},
		{ID: "oras", Kind: Peer, Binary: "oras", args: driver()},
		{ID: "skopeo", Kind: Peer, Hashes: true, Binary: "skopeo", args: driver()},
		{ID: "crane-16", Kind: Tuned, Hashes: true, Binary: "crane", args: craneTuned},
		{ID: "regctl-16", Kind: Tuned, Hashes: true, Binary: "regctl", args: regctl, setup: regctlConfig(atOnce)},
		{ID: "oras-16", Kind: Tuned, Binary: "oras", args: driver("-concurrency", strconv.Itoa(atOnce))},
	}
}

// crane has a command for each direction.
func crane(from, to Place) ([]string, error) {
	switch {
	case from.Host == "" && to.Host == "":
		return nil, fmt.Errorf("does not copy between layouts")
	case from.Host == "":
		return []string{"push", from.Layout, to.name("", "")}, nil
	case to.Host == "":
		return []string{"pull", "--format=oci", from.name("", ""), to.Layout}, nil
	}
	return []string{"copy", from.name("", ""), to.name("", "")}, nil
}

// craneTuned is for two registries: the other commands cannot be tuned.
func craneTuned(from, to Place) ([]string, error) {
	args, err := crane(from, to)
	if err != nil || args[0] != "copy" {
		return args, err
	}
	return append([]string{"copy", "--jobs", strconv.Itoa(atOnce)}, args[1:]...), nil
}

func regctl(from, to Place) ([]string, error) {
	return []string{"image", "copy", from.name("", "ocidir://"), to.name("", "ocidir://")}, nil
}

// regctlConfig writes the file where regctl is told that a registry speaks plain HTTP, and
// how many requests it takes at once, if that is not 0.
func regctlConfig(concurrent int) func(string, Place, Place) ([]string, error) {
	type host struct {
		TLS        string `json:"tls"`
		Hostname   string `json:"hostname"`
		Concurrent int    `json:"reqConcurrent,omitempty"`
	}
	return func(home string, from, to Place) ([]string, error) {
		hosts := map[string]host{}
		for _, place := range []Place{from, to} {
			if place.Host != "" {
				hosts[place.Host] = host{TLS: "disabled", Hostname: place.Host, Concurrent: concurrent}
			}
		}
		data, err := json.Marshal(map[string]any{"hosts": hosts})
		if err != nil {
			return nil, err
		}
		path := filepath.Join(home, "regctl.json")
		return []string{"REGCTL_CONFIG=" + path}, os.WriteFile(path, data, 0o600)
	}
}

// driver is for the programs of this directory's peers, which take names as Dhow does.
func driver(flags ...string) func(from, to Place) ([]string, error) {
	return func(from, to Place) ([]string, error) {
		names := []string{from.name("docker://", "oci:"), to.name("docker://", "oci:")}
		return append(flags[:len(flags):len(flags)], names...), nil
	}
}
