package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/strictjson"
)

// site is a directory that is written to.
type site struct {
	root   *os.Root
	writer *durable.Writer
}

// openSite opens a directory; one that is not there is errdefs.ErrNotFound, and
// the site nil.
func openSite(path string, log *slog.Logger) (*site, error) {
	root, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	return &site{root: root, writer: durable.NewWriter(root, durable.Options{Logger: log})}, nil
}

// makeSite makes the directory if it is not there, and opens it.
func makeSite(path string, log *slog.Logger) (*site, error) {
	if err := durable.MkdirAll(path); err != nil {
		return nil, err
	}
	return openSite(path, log)
}

func (s *site) close() error {
	return errors.Join(s.writer.Close(), s.root.Close())
}

// checkTarget checks that a directory is a layout or may become one, since there
// is nothing in it but what a killed process of ours left.
func checkTarget(root *os.Root, limits image.Limits) (isLayout bool, err error) {
	if isLayout, err = hasLayout(root, limits); isLayout || err != nil {
		return isLayout, err
	}
	foreign, err := foreignEntry(root)
	if err != nil || foreign == "" {
		return false, err
	}
	// Another process may have made the layout meanwhile; its marker came first.
	if isLayout, err = hasLayout(root, limits); isLayout || err != nil {
		return isLayout, err
	}
	return false, fmt.Errorf("%s has no file %s but, for example, %s: it is not an OCI image layout and not empty: %w",
		root.Name(), ocispec.ImageLayoutFile, strictjson.Quote(foreign), errdefs.ErrFailedPrecondition)
}

// hasLayout reports whether a directory has a layout's marker, and checks it and
// the index.
func hasLayout(root *os.Root, limits image.Limits) (bool, error) {
	_, err := root.Lstat(ocispec.ImageLayoutFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil:
		err = checkMarker(root)
	}
	if err != nil {
		return false, err
	}
	_, err = currentIndex(root, limits)
	return true, err
}

// foreignEntry returns the name of an entry of the directory that no process of
// ours has left; empty if there is none.
func foreignEntry(root *os.Root) (string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if !durable.IsOurs(e.Name()) {
			return e.Name(), nil
		}
	}
	return "", err
}

// currentIndex reads index.json. In a layout that is being made it may be missing.
func currentIndex(root *os.Root, limits image.Limits) (*image.List, error) {
	_, err := root.Lstat(ocispec.ImageIndexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return image.NewList(ocispec.MediaTypeImageIndex)
	}
	return readIndex(root, limits)
}

// prepare makes the layout, and the directory of the shared blobs, if they are
// not there. The file oci-layout comes first: a directory that has it is one that
// a repeat of a killed run accepts.
func (d *Destination) prepare(ctx context.Context) error {
	return d.prepared.Do(ctx, func() error { return d.build(ctx) })
}

func (d *Destination) build(ctx context.Context) error {
	layout, err := d.makeSites()
	if err != nil {
		return err
	}
	isLayout, err := checkTarget(layout.root, d.opts.Limits)
	if err != nil {
		return err
	}
	if !isLayout {
		err := create(ctx, layout, ocispec.ImageLayoutFile, []byte(ocilayout.Marker))
		if err != nil {
			return err
		}
		if err := checkMarker(layout.root); err != nil {
			return err
		}
	}
	empty, err := image.NewList(ocispec.MediaTypeImageIndex)
	if err != nil {
		return err
	}
	if err := create(ctx, layout, ocispec.ImageIndexFile, empty.Bytes()); err != nil {
		return err
	}
	return layout.writer.MakeDir(ctx, ocispec.ImageBlobsDir)
}

// makeSites makes and opens the directories that are not open yet.
func (d *Destination) makeSites() (layout *site, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.layout == nil {
		if d.layout, err = makeSite(d.ref.Path, d.opts.Logger); err != nil {
			return nil, err
		}
	}
	if d.shared == nil && d.opts.SharedBlobs != "" {
		if d.shared, err = makeSite(d.opts.SharedBlobs, d.opts.Logger); err != nil {
			return nil, fmt.Errorf("shared blobs: %w", err)
		}
	}
	return d.layout, nil
}

// create writes a file unless it is there; then nothing is written, which a
// directory that is only read would refuse.
func create(ctx context.Context, s *site, name string, data []byte) error {
	_, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.writer.Create(ctx, name, data)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
