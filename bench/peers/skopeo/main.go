// Command skopeo copies an image between registries and OCI layouts as `skopeo copy --all`
// does, with the copy of go.podman.io/image. The command itself is not a module that can be
// had, its library is.
//
// Usage: skopeo [-platform OS/ARCHITECTURE] SOURCE DESTINATION, each of them
// docker://HOST/NAME:TAG (plain HTTP is tried where TLS is not spoken) or oci:PATH:TAG. With a
// platform it does as `skopeo --override-os OS --override-arch ARCHITECTURE copy`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

func main() {
	platform := flag.String("platform", "", "copy only that of this `OS/ARCHITECTURE`")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), flag.Arg(1), *platform); err != nil {
		fmt.Fprintln(os.Stderr, "skopeo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, from, to, platform string) error {
	src, err := parse(from)
	if err != nil {
		return err
	}
	dst, err := parse(to)
	if err != nil {
		return err
	}
	policy, err := signature.NewPolicyContext(&signature.Policy{
		Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()},
	})
	if err != nil {
		return err
	}
	defer func() { _ = policy.Destroy() }() // the process ends here
	options := &copy.Options{
		ReportWriter:       os.Stdout,
		SourceCtx:          system(),
		DestinationCtx:     system(),
		ImageListSelection: copy.CopyAllImages,
	}
	if goos, goarch, ok := strings.Cut(platform, "/"); ok {
		options.SourceCtx.OSChoice, options.SourceCtx.ArchitectureChoice = goos, goarch
		options.ImageListSelection = copy.CopySystemImage
	}
	_, err = copy.Image(ctx, policy, dst, src, options)
	return err
}

func parse(name string) (types.ImageReference, error) {
	transport, rest, ok := strings.Cut(name, ":")
	switch {
	case ok && transport == "docker":
		return docker.ParseReference(rest)
	case ok && transport == "oci":
		return layout.ParseReference(rest)
	}
	return nil, fmt.Errorf("%s is neither docker://HOST/NAME:TAG nor oci:PATH:TAG", name)
}

// system keeps what is remembered of blobs in the home directory, which is a new one for
// each run, and reads no configuration of the machine.
func system() *types.SystemContext {
	home := os.Getenv("HOME")
	return &types.SystemContext{
		DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
		BlobInfoCacheDir:            filepath.Join(home, "cache"),
		SystemRegistriesConfPath:    os.DevNull,
		SystemRegistriesConfDirPath: filepath.Join(home, "registries.conf.d"),
		RegistriesDirPath:           filepath.Join(home, "registries.d"),
		DockerPerHostCertDirPath:    filepath.Join(home, "certs.d"),
		AuthFilePath:                filepath.Join(home, "auth.json"),
		BigFilesTemporaryDir:        os.TempDir(),
	}
}
