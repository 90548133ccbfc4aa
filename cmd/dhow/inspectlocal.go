package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// inspectLocal shows an image of the local store as the flags say.
func (a *app) inspectLocal(ctx context.Context, f inspectFlags, ref string, asked *ocispec.Platform) (err error) {
	if err := f.place.onlyElsewhere(); err != nil {
		return fmt.Errorf("image %.256q of the local store: %w", ref, err)
	}
	show, err := shower(f, (*describe.Local).Tree)
	if err != nil {
		return err
	}
	shortLived()
	opened, err := a.shareStore(ctx, storeLook)
	if err != nil {
		return fmt.Errorf("image %.256q%s: %w", ref, inRegistry(ref), err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	images := a.images(opened.Store)
	defer func() { err = elsewhere(ctx, images, ref, err) }()
	switch {
	case f.config:
		return a.printLocalConfig(ctx, images, f, ref, asked)
	case f.raw:
		return a.printLocalRaw(ctx, opened, images, ref, asked)
	}
	img, err := images.Get(ctx, ref, service.GetOptions{Platform: asked, Details: true, Bare: true})
	if err != nil {
		return err
	}
	if err := a.warn(img.Warnings); err != nil {
		return err
	}
	return a.write(func(w io.Writer) error { return show(w, describe.LocalOf(ref, &img, a.limits)) })
}

// elsewhere adds to the error of an image that is not here how it would be named if it were
// one in a registry.
func elsewhere(ctx context.Context, images *service.Service, ref string, err error) error {
	if _, absent := images.Resolve(ctx, ref); err == nil || !errdefs.IsNotFound(absent) || inRegistry(ref) == "" {
		return err
	}
	return fmt.Errorf("%w%s", err, inRegistry(ref))
}

// printLocalConfig prints the config of the instance for a platform, or else of the one that
// this machine prefers.
func (a *app) printLocalConfig(ctx context.Context, images *service.Service, f inspectFlags, ref string, asked *ocispec.Platform) error {
	img, err := images.Get(ctx, ref, service.GetOptions{Platform: asked})
	if err != nil {
		return err
	}
	if err := a.warn(img.Warnings); err != nil {
		return err
	}
	data := img.Config
	if !f.raw {
		if data, err = text.Indent(data); err != nil {
			return fmt.Errorf("config %s is not JSON, and can be printed raw only: %w: %w", img.Instance.Config, err, errdefs.ErrInvalidArgument)
		}
	}
	return a.writeBytes(data)
}

// printLocalRaw prints the bytes of the list or manifest that is meant, or of the instance
// for a platform.
func (a *app) printLocalRaw(ctx context.Context, blobs store.Blobs, images *service.Service, ref string, asked *ocispec.Platform) error {
	var desc ocispec.Descriptor
	var err error
	if asked != nil {
		desc, err = images.Manifest(ctx, ref, asked)
	} else {
		desc, err = images.Document(ctx, ref)
	}
	if err != nil {
		return err
	}
	data, err := readDocument(ctx, blobs, desc.Digest, a.limits.WithDefaults().DocumentBytes)
	if err != nil {
		return err
	}
	return a.writeBytes(data)
}

// readDocument reads a document of at most so many bytes, which the store verifies.
func readDocument(ctx context.Context, blobs store.Blobs, d digest.Digest, most int64) (data []byte, err error) {
	r, err := blobs.Open(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(r, most+1)); err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes, the limit for a manifest: %w", d, most, errdefs.ErrResourceExhausted)
	}
	return data, err
}

// onlyElsewhere refuses what is said of a place where an image of the local store is meant.
func (s settings) onlyElsewhere() error {
	switch {
	case s.sharedBlobs != "":
		return fmt.Errorf("a shared blob directory goes with oci: only: %w", errdefs.ErrInvalidArgument)
	case s.lastWins:
		return fmt.Errorf("--last-wins goes with oci: and archives only: %w", errdefs.ErrInvalidArgument)
	}
	return s.registry.only()
}
