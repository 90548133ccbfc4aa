package tools

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
)

// atOnce is what the peers are tuned to in the rows that say so.
const atOnce = 16

// Dhow returns Dhow at a path under a name, with flags for copy.
func Dhow(id, path string, flags ...string) Tool {
	return Tool{ID: id, Kind: Own, Binary: path, args: func(c Copy) []string {
		args := append([]string{"copy"}, flags...)
		if c.From.Host != "" {
			args = append(args, "--src-tls-verify=false")
		}
		if c.To.Host != "" {
			args = append(args, "--dest-tls-verify=false")
		}
		if c.Platform != "" {
			args = append(args, "--platform", c.Platform)
		}
		return append(args, c.From.name("docker://", "oci:"), c.To.name("docker://", "oci:"))
	}}
}

// DhowStore returns Dhow, which where the others write to a layout writes to a local store.
// The store is beside the layout, so that both are on one disk and go together.
func DhowStore(id, path string) Tool {
	name := func(c Copy) string { return "store:bench.example/image:" + c.To.Tag }
	return Tool{
		ID: id, Kind: Own, Binary: path,
		args: func(c Copy) []string {
			return []string{"copy", "--root", storeOf(c), "--src-tls-verify=false", c.From.name("docker://", "oci:"), name(c)}
		},
		export: func(c Copy) []string {
			return []string{"copy", "--root", storeOf(c), name(c), c.To.name("", "oci:")}
		},
	}
}

// StoreSuffix is what is added to the path of a layout for that of the store beside it.
const StoreSuffix = ".store"

func storeOf(c Copy) string { return c.To.Layout + StoreSuffix }

// Peers returns the other tools, as they come and tuned.
func Peers() []Tool {
	craneTrusts := []Route{FromLayout}
	return []Tool{
		{ID: "crane", Kind: Peer, Binary: "crane", Trusts: craneTrusts, args: crane(), allTags: craneAll()},
		{ID: "regctl", Kind: Peer, Binary: "regctl", args: regctl, allTags: regctlAll(), setup: regctlConfig(0)},
		Oras(),
		{ID: "skopeo", Kind: Peer, Binary: "skopeo", args: driver()},
		{
			ID: "crane-16", Kind: Tuned, Binary: "crane", Trusts: craneTrusts,
			args: crane("--jobs", strconv.Itoa(atOnce)), allTags: craneAll("--jobs", strconv.Itoa(atOnce)),
		},
		{
			ID: "regctl-16", Kind: Tuned, Binary: "regctl",
			args: regctl, allTags: regctlAll("--concurrent", strconv.Itoa(atOnce)), setup: regctlConfig(atOnce),
		},
		{ID: "oras-16", Kind: Tuned, Binary: "oras", Trusts: orasTrusts(), args: driver("-concurrency", strconv.Itoa(atOnce))},
	}
}

// Oras returns the peer that is also used to fill registries before anything is measured.
func Oras() Tool {
	return Tool{ID: "oras", Kind: Peer, Binary: "oras", Trusts: orasTrusts(), args: driver()}
}

// orasTrusts are the routes to a registry.
func orasTrusts() []Route { return []Route{Registries, FromLayout, SameRegistry} }

// crane has a command for each direction. The flags are those of copy: the other two cannot
// be tuned.
func crane(flags ...string) func(Copy) []string {
	return func(c Copy) []string {
		var args []string
		if c.Platform != "" {
			args = append(args, "--platform", c.Platform)
		}
		switch {
		case c.From.Host == "":
			return append(args, "push", c.From.Layout, c.To.name("", ""))
		case c.To.Host == "":
			return append(args, "pull", "--format=oci", c.From.name("", ""), c.To.Layout)
		}
		args = append(append(args, "copy"), flags...)
		return append(args, c.From.name("", ""), c.To.name("", ""))
	}
}

func craneAll(flags ...string) func(Copy) []string {
	return func(c Copy) []string {
		args := append([]string{"copy", "--all-tags"}, flags...)
		return append(args, c.From.repository(), c.To.repository())
	}
}

func regctl(c Copy) []string {
	args := []string{"image", "copy"}
	if c.Platform != "" {
		args = append(args, "--platform", c.Platform)
	}
	return append(args, c.From.name("", "ocidir://"), c.To.name("", "ocidir://"))
}

func regctlAll(flags ...string) func(Copy) []string {
	return func(c Copy) []string {
		args := append([]string{"repo", "copy"}, flags...)
		return append(args, c.From.repository(), c.To.repository())
	}
}

// regctlConfig writes the file where regctl is told that a registry speaks plain HTTP, and
// how many requests it takes at once, if that is not 0.
func regctlConfig(concurrent int) func(string, Copy) ([]string, error) {
	type host struct {
		TLS        string `json:"tls"`
		Hostname   string `json:"hostname"`
		Concurrent int    `json:"reqConcurrent,omitempty"`
	}
	return func(home string, c Copy) ([]string, error) {
		hosts := map[string]host{}
		for _, place := range []Place{c.From, c.To} {
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

// driver is for the programs in the folder peers, which take names as Dhow does.
func driver(flags ...string) func(Copy) []string {
	return func(c Copy) []string {
		args := append([]string{}, flags...)
		if c.Platform != "" {
			args = append(args, "-platform", c.Platform)
		}
		return append(args, c.From.name("docker://", "oci:"), c.To.name("docker://", "oci:"))
	}
}
