package oci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/rootfile"
)

// Options are those of a Source or Destination. The zero value is the default.
type Options struct {
	// SharedBlobs is a directory that has the blobs of several layouts, at
	// ALGORITHM/HEX; empty: the layout has its own.
	SharedBlobs string
	// Limits bound documents. Those on descriptors hold for index.json too.
	Limits image.Limits
	// LastWins accepts an index.json with several entries of one name: the last
	// one counts. They are an error otherwise.
	LastWins bool
	// Logger is told of what is damaged, odd or left over; nil: nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.WithDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// checkMarker checks the file oci-layout, by which a directory is a layout.
func checkMarker(root *os.Root) error {
	data, err := rootfile.Read(root, ocispec.ImageLayoutFile, ocilayout.MaxMarkerBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("not an OCI image layout: no file %s: %w", ocispec.ImageLayoutFile, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return err
	}
	return ocilayout.CheckMarker(data)
}

// readIndex reads index.json. A layout always has one, maybe without entries.
func readIndex(root *os.Root, limits image.Limits) (*image.List, error) {
	data, err := rootfile.Read(root, ocispec.ImageIndexFile, ocilayout.MaxIndexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the layout has no %s: %w", ocispec.ImageIndexFile, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, err
	}
	return ocilayout.DecodeIndex(data, limits)
}

// blobs is the place that has the blobs: a layout, or a directory that several
// of them share.
type blobs struct {
	root *os.Root
	base string // of the directories of the algorithms, below root
}

// name returns the path of a blob below the root, and checks its digest.
func (b blobs) name(d digest.Digest) (string, error) {
	d, err := image.ParseDigest(string(d))
	if err != nil {
		return "", err
	}
	return path.Join(b.base, d.Algorithm().String(), d.Encoded()), nil
}

// open opens a blob for reading and checks its size, unless that is negative.
func (b blobs) open(desc ocispec.Descriptor) (*os.File, error) {
	name, err := b.name(desc.Digest)
	if err != nil {
		return nil, err
	}
	f, err := rootfile.Open(b.root, name)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	info, err := f.Stat()
	if err == nil && desc.Size >= 0 && info.Size() != desc.Size {
		err = fmt.Errorf("blob %s: the file has %d bytes, its descriptor says %d: %w", desc.Digest, info.Size(), desc.Size, errdefs.ErrDataLoss)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// document reads and decodes a manifest or list.
func (b blobs) document(desc ocispec.Descriptor, limits image.Limits) (image.Document, error) {
	data, err := b.read(desc, limits.DocumentBytes)
	if err != nil {
		return nil, err
	}
	doc, err := image.Decode(data, image.Declared{Descriptor: desc.MediaType}, limits)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return doc, nil
}

// read reads and verifies a small blob whose size is known. Of one that has
// another size, or more than limit bytes, nothing is read.
func (b blobs) read(desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, the limit is %d: %w", desc.Digest, desc.Size, limit, errdefs.ErrResourceExhausted)
	}
	f, err := b.open(desc)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, desc.Size)
	if _, err = io.ReadFull(f, data); err == nil {
		err = image.VerifyBytes(data, desc)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return data, nil
}
