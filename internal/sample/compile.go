package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	hello = "github.com/dhowhq/dhow/internal/sample/hello"
	// atOnce is how many compilers run at once.
	atOnce = 2
)

// target is a platform to build for.
type target struct {
	platform ocispec.Platform
	goarm    string
}

// targets returns the platforms of the sample, in the order of its index.
func targets() []target {
	linux := func(arch, variant string) ocispec.Platform {
		return ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}
	}
	return []target{
		{platform: linux("amd64", "")},
		{platform: linux("arm64", "")},
		{platform: linux("arm", "v7"), goarm: "7"},
		{platform: linux("arm", "v6"), goarm: "6"},
		{platform: linux("ppc64le", "")},
		{platform: linux("s390x", "")},
		{platform: linux("riscv64", "")},
		{platform: ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.2700"}},
	}
}

// program is an executable for a platform.
type program struct {
	platform ocispec.Platform
	code     []byte
}

// compile builds the program for each target.
func compile(ctx context.Context, targets []target) ([]program, error) {
	dir, err := os.MkdirTemp("", "dhow-sample-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	programs := make([]program, len(targets))
	errs := make([]error, len(targets))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			code, err := t.build(ctx, filepath.Join(dir, fmt.Sprint(i)))
			programs[i], errs[i] = program{platform: t.platform, code: code}, err
		})
	}
	wg.Wait()
	return programs, errors.Join(errs...)
}

// build compiles for one target and returns the executable, which depends on
// nothing but the source and the toolchain.
func (t target) build(ctx context.Context, out string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-p=1", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, hello)
	cmd.Env = append(os.Environ(),
		"CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=",
		"GOOS="+t.platform.OS, "GOARCH="+t.platform.Architecture,
		"GOARM="+t.goarm, "GOAMD64=v1", "GOARM64=v8.0", "GOPPC64=power8", "GORISCV64=rva20u64",
	)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building for %s/%s: %w\n%s", t.platform.OS, t.platform.Architecture, err, text)
	}
	return os.ReadFile(out)
}
