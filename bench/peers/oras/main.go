// Command oras copies an image between registries and OCI layouts as `oras cp` does: with
// the copy of oras-go, three at once, mounts within a registry, and a line for each node, for
// which it reads back the manifests that it has pushed. The command itself is not a module
// that can be had, its library is.
//
// Usage: oras [-concurrency N] [-platform OS/ARCHITECTURE] SOURCE DESTINATION, each of them
// docker://HOST/NAME:TAG (plain HTTP) or oci:PATH:TAG.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"
)

func main() {
	concurrency := flag.Int("concurrency", 3, "copy `N` nodes at once")
	platform := flag.String("platform", "", "copy only that of this `OS/ARCHITECTURE`")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), flag.Arg(1), *platform, *concurrency); err != nil {
		fmt.Fprintln(os.Stderr, "oras:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, from, to, platform string, concurrency int) error {
	src, srcTag, err := source(ctx, from)
	if err != nil {
		return err
	}
	dst, dstTag, err := destination(to)
	if err != nil {
		return err
	}
	options := oras.CopyOptions{CopyGraphOptions: oras.CopyGraphOptions{
		Concurrency:   concurrency,
		PreCopy:       say("Copying"),
		PostCopy:      copied(dst),
		OnCopySkipped: say("Exists"),
		OnMounted:     say("Mounted"),
	}}
	if goos, goarch, ok := strings.Cut(platform, "/"); ok {
		options.WithTargetPlatform(&ocispec.Platform{OS: goos, Architecture: goarch})
	}
	srcRepo, srcRemote := src.(*remote.Repository)
	dstRepo, dstRemote := dst.(*remote.Repository)
	if srcRemote && dstRemote {
		ctx = auth.AppendRepositoryScope(ctx, dstRepo.Reference, auth.ActionPull, auth.ActionPush)
		if srcRepo.Reference.Registry == dstRepo.Reference.Registry {
			options.MountFrom = func(context.Context, ocispec.Descriptor) ([]string, error) {
				return []string{srcRepo.Reference.Repository}, nil
			}
		}
	}
	_, err = oras.Copy(ctx, src, srcTag, dst, dstTag, options)
	return err
}

func source(ctx context.Context, name string) (oras.ReadOnlyTarget, string, error) {
	if path, tag, ok := layout(name); ok {
		store, err := oci.NewFromFS(ctx, os.DirFS(path))
		return store, tag, err
	}
	return repository(name)
}

func destination(name string) (oras.Target, string, error) {
	if path, tag, ok := layout(name); ok {
		store, err := oci.New(path)
		return store, tag, err
	}
	return repository(name)
}

func layout(name string) (path, tag string, ok bool) {
	name, ok = strings.CutPrefix(name, "oci:")
	i := strings.LastIndexByte(name, ':')
	if !ok || i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

func repository(name string) (*remote.Repository, string, error) {
	name, ok := strings.CutPrefix(name, "docker://")
	if !ok {
		return nil, "", errors.New("want docker://HOST/NAME:TAG or oci:PATH:TAG")
	}
	repo, err := remote.NewRepository(name)
	if err != nil {
		return nil, "", err
	}
	repo.PlainHTTP = true
	repo.Client = &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache()}
	return repo, repo.Reference.Reference, nil
}

// copied tells what a node leads to, which the command does to name what it did not copy.
func copied(dst oras.Target) func(context.Context, ocispec.Descriptor) error {
	return func(ctx context.Context, desc ocispec.Descriptor) error {
		successors, err := content.Successors(ctx, dst, desc)
		if err != nil {
			return err
		}
		fmt.Println("Copied", desc.Digest, desc.MediaType, len(successors))
		return nil
	}
}

func say(what string) func(context.Context, ocispec.Descriptor) error {
	return func(_ context.Context, desc ocispec.Descriptor) error {
		fmt.Println(what, desc.Digest, desc.MediaType)
		return nil
	}
}
