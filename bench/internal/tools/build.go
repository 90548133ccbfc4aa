package tools

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is one that is built for the benchmarks, of a pinned version.
type program struct {
	binary string
	// module and version are what has to be linked; pkg is a package of it to install.
	module, version, pkg string
	// dir is that of a module of ours, below this one's, to build instead of pkg.
	dir  string
	tags string
}

var programs = []program{
	{
		binary: "crane", module: "github.com/google/go-containerregistry", version: "v0.22.1",
		pkg: "github.com/google/go-containerregistry/cmd/crane",
	},
	{
		binary: "regctl", module: "github.com/regclient/regclient", version: "v0.11.7",
		pkg: "github.com/regclient/regclient/cmd/regctl",
	},
	{
		binary: "registry", module: "github.com/distribution/distribution/v3", version: "v3.1.2",
		pkg: "github.com/distribution/distribution/v3/cmd/registry",
	},
	{binary: "oras", module: "oras.land/oras-go/v2", version: "v2.6.4", dir: "peers/oras"},
	{
		binary: "skopeo", module: "go.podman.io/image/v5", version: "v5.42.0", dir: "peers/skopeo",
		tags: "containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper",
	},
	{binary: "measure", dir: ".", pkg: "./cmd/measure"},
}

// Build builds what is not there yet into the folder of binaries: the peers, the registry
// and the launcher. dir is the directory of the benchmarks' module, goCommand the go command.
// Each peer is checked to be linked with the version that is pinned.
func Build(ctx context.Context, goCommand, dir, binaries string, say func(string)) error {
	if err := os.MkdirAll(binaries, 0o755); err != nil {
		return fmt.Errorf("building the tools: %w", err)
	}
	for _, p := range programs {
		path := filepath.Join(binaries, p.binary)
		if p.dir == "" && p.linked(path) == nil {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			say("building " + strings.TrimSpace(p.binary+" "+p.version))
		}
		if err := p.build(ctx, goCommand, dir, binaries); err != nil {
			return fmt.Errorf("building %s: %w", p.binary, err)
		}
		if err := p.linked(path); err != nil {
			return fmt.Errorf("building %s: %w", p.binary, err)
		}
	}
	return nil
}

// Versions returns the programs and what they are linked with, for the head of a report.
func Versions() []string {
	var versions []string
	for _, p := range programs {
		if p.module != "" {
			versions = append(versions, fmt.Sprintf("%s: %s %s", p.binary, p.module, p.version))
		}
	}
	return versions
}

// build installs the package or, which takes no time if nothing has changed, builds ours.
func (p program) build(ctx context.Context, goCommand, dir, binaries string) error {
	args := []string{"install", "-trimpath", p.pkg + "@" + p.version}
	if p.dir != "" {
		pkg := p.pkg
		if pkg == "" {
			pkg = "."
		}
		args = []string{"build", "-trimpath", "-buildvcs=false", "-tags", p.tags, "-o", filepath.Join(binaries, p.binary), pkg}
	}
	cmd := exec.CommandContext(ctx, goCommand, args...) //nolint:gosec // the go command of the makefile
	cmd.Dir = filepath.Join(dir, p.dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+binaries)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

// linked reports why a binary is not linked with the pinned version.
func (p program) linked(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	if p.module == "" || info.Main.Path == p.module && info.Main.Version == p.version {
		return nil
	}
	for _, dep := range info.Deps {
		if dep.Path == p.module && dep.Version == p.version && dep.Replace == nil {
			return nil
		}
	}
	return fmt.Errorf("it is not linked with %s %s", p.module, p.version)
}
