// Package images makes the images of the benchmarks as OCI layouts: always the same bytes,
// real in form, and of random content, so that nothing is gained by compressing it.
package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tag is the name of an image in its layout and in registries, if it has only one.
const Tag = "latest"

// Spec is what an image is made from.
type Spec struct {
	Name string `json:"name"`
	// Platforms is the number of instances of an index; 0 is a single image without one.
	Platforms int `json:"platforms"`
	// Layers is how many each instance has of its own.
	Layers int `json:"layers"`
	// LayerSize is that of the random content in each of them, in bytes.
	LayerSize int64 `json:"layerSize"`
	// Tags is the number of different images of this kind; 0 is one, which is named Tag.
	Tags int `json:"tags,omitempty"`
}

// Tagged is a name and what it stands for.
type Tagged struct {
	Name string             `json:"name"`
	Root ocispec.Descriptor `json:"root"`
}

// Image is one that is in a layout.
type Image struct {
	Spec Spec `json:"spec"`
	// Version is that of this package's bytes: another one makes all images anew.
	Version int      `json:"version"`
	Tags    []Tagged `json:"tags"`
	// Manifests are all documents, with the roots, and Blobs all configs and layers.
	Manifests []ocispec.Descriptor `json:"manifests"`
	Blobs     []ocispec.Descriptor `json:"blobs"`
	// Layout is the directory.
	Layout string `json:"-"`
}

const version = 2

// Bytes returns the size of everything.
func (i *Image) Bytes() int64 {
	var n int64
	for _, desc := range slices.Concat(i.Manifests, i.Blobs) {
		n += desc.Size
	}
	return n
}

// Make returns the image of a spec in a layout below dir, and makes it if it is not there.
func Make(ctx context.Context, dir string, spec Spec) (*Image, error) {
	layout := filepath.Join(dir, spec.Name)
	if image, err := load(layout); err != nil {
		return nil, err
	} else if image != nil && image.Spec == spec && image.Version == version {
		return image, nil
	}
	if err := errors.Join(os.RemoveAll(layout), os.Remove(record(layout))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("making the image %s: %w", spec.Name, err)
	}
	image := &Image{Spec: spec, Version: version, Layout: layout}
	if err := build(ctx, image); err != nil {
		return nil, fmt.Errorf("making the image %s: %w", spec.Name, err)
	}
	data, err := json.MarshalIndent(image, "", "  ")
	if err == nil {
		err = os.WriteFile(record(layout), data, 0o644) // last: with it the image is whole
	}
	if err != nil {
		return nil, fmt.Errorf("making the image %s: %w", spec.Name, err)
	}
	return image, nil
}

// Names returns the names of the tags if they are several, else nil.
func (i *Image) Names() []string {
	if i.Spec.Tags == 0 {
		return nil
	}
	names := make([]string, 0, len(i.Tags))
	for _, tag := range i.Tags {
		names = append(names, tag.Name)
	}
	return names
}

// Instance returns the part of an image with an index that one platform has, named as the
// whole: what is copied if only this platform is.
func (i *Image) Instance(platform string) (*Image, error) {
	var index ocispec.Index
	if err := i.read(i.Tags[0].Root, &index); err != nil {
		return nil, err
	}
	for _, desc := range index.Manifests {
		if desc.Platform.OS+"/"+desc.Platform.Architecture != platform {
			continue
		}
		var manifest ocispec.Manifest
		if err := i.read(desc, &manifest); err != nil {
			return nil, err
		}
		return &Image{
			Spec: i.Spec, Version: i.Version, Layout: i.Layout,
			Tags:      []Tagged{{Name: i.Tags[0].Name, Root: desc}},
			Manifests: []ocispec.Descriptor{desc},
			Blobs:     append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...),
		}, nil
	}
	return nil, fmt.Errorf("the image %s has no %s", i.Spec.Name, platform)
}

// read decodes a document of the layout.
func (i *Image) read(desc ocispec.Descriptor, into any) error {
	data, err := os.ReadFile(blobPath(i.Layout, desc.Digest))
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", desc.Digest, err)
	}
	return nil
}

func blobPath(layout string, d digest.Digest) string {
	return filepath.Join(layout, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// record is the file that tells what is in a layout.
func record(layout string) string { return layout + ".json" }

// load returns nil for an image that is not there.
func load(layout string) (*Image, error) {
	data, err := os.ReadFile(record(layout))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is there, and that is no error
	}
	if err != nil {
		return nil, err
	}
	image := &Image{Layout: layout}
	if err := json.Unmarshal(data, image); err != nil {
		return nil, fmt.Errorf("reading %s: %w", record(layout), err)
	}
	return image, nil
}
