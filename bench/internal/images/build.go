package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var platforms = []ocispec.Platform{
	{OS: "linux", Architecture: "amd64"},
	{OS: "linux", Architecture: "arm64", Variant: "v8"},
	{OS: "linux", Architecture: "arm", Variant: "v7"},
	{OS: "linux", Architecture: "arm", Variant: "v6"},
	{OS: "linux", Architecture: "arm", Variant: "v5"},
	{OS: "linux", Architecture: "386"},
	{OS: "linux", Architecture: "mips64le"},
	{OS: "linux", Architecture: "ppc64le"},
	{OS: "linux", Architecture: "riscv64"},
	{OS: "linux", Architecture: "s390x"},
	{OS: "linux", Architecture: "loong64"},
}

// build writes the layout of an image and fills in its descriptors.
func build(ctx context.Context, image *Image) error {
	spec := image.Spec
	if spec.Platforms > len(platforms) {
		return fmt.Errorf("%d platforms, of %d that are known", spec.Platforms, len(platforms))
	}
	if err := os.MkdirAll(filepath.Join(image.Layout, ocispec.ImageBlobsDir, digest.Canonical.String()), 0o755); err != nil {
		return err
	}
	if spec.Tags == 0 {
		root, err := image.root(ctx, "")
		if err != nil {
			return err
		}
		image.Tags = []Tagged{{Name: Tag, Root: root}}
	}
	for n := range spec.Tags {
		name := fmt.Sprintf("v%d", n)
		root, err := image.root(ctx, name)
		if err != nil {
			return err
		}
		image.Tags = append(image.Tags, Tagged{Name: name, Root: root})
	}
	return image.finish()
}

// root writes what one tag stands for. Images of different seeds have nothing in common.
func (i *Image) root(ctx context.Context, seed string) (ocispec.Descriptor, error) {
	if i.Spec.Platforms == 0 {
		return i.instance(ctx, seed, platforms[0])
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
	}
	for _, platform := range platforms[:i.Spec.Platforms] {
		desc, err := i.instance(ctx, seed, platform)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		desc.Platform = &platform
		index.Manifests = append(index.Manifests, desc)
	}
	return i.manifest(ocispec.MediaTypeImageIndex, index)
}

// finish writes the files by which a layout is found to be one.
func (i *Image) finish() error {
	top := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
	}
	for _, tag := range i.Tags {
		entry := tag.Root
		entry.Annotations = map[string]string{ocispec.AnnotationRefName: tag.Name}
		top.Manifests = append(top.Manifests, entry)
	}
	data, err := json.Marshal(top)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(i.Layout, ocispec.ImageIndexFile), data, 0o644); err != nil {
		return err
	}
	marker := fmt.Sprintf(`{"imageLayoutVersion":%q}`, ocispec.ImageLayoutVersion)
	return os.WriteFile(filepath.Join(i.Layout, ocispec.ImageLayoutFile), []byte(marker), 0o644)
}

// instance writes the image of one platform and returns its manifest.
func (i *Image) instance(ctx context.Context, seed string, platform ocispec.Platform) (ocispec.Descriptor, error) {
	config := ocispec.Image{Platform: platform, RootFS: ocispec.RootFS{Type: "layers"}}
	config.Config.Cmd = []string{"/content"}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for n := range i.Spec.Layers {
		if err := ctx.Err(); err != nil {
			return ocispec.Descriptor{}, err
		}
		layer, diffID, err := i.layer(fmt.Sprintf("%s %s %s/%s/%s layer %d",
			i.Spec.Name, seed, platform.OS, platform.Architecture, platform.Variant, n))
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		manifest.Layers = append(manifest.Layers, layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
		i.Blobs = append(i.Blobs, layer)
	}
	desc, err := i.document(ocispec.MediaTypeImageConfig, config)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	i.Blobs = append(i.Blobs, desc)
	manifest.Config = desc
	return i.manifest(ocispec.MediaTypeImageManifest, manifest)
}

// manifest writes an index or the manifest of an instance.
func (i *Image) manifest(mediaType string, v any) (ocispec.Descriptor, error) {
	desc, err := i.document(mediaType, v)
	i.Manifests = append(i.Manifests, desc)
	return desc, err
}

// document writes a JSON document.
func (i *Image) document(mediaType string, v any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return i.blob(mediaType, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
}

// layer writes a tar with one file of random bytes, in gzip's form but not compressed: it is
// random, and so it is soon made.
func (i *Image) layer(seed string) (desc ocispec.Descriptor, diffID digest.Digest, err error) {
	content := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	plain := digest.Canonical.Digester()
	desc, err = i.blob(ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
		gz, err := gzip.NewWriterLevel(w, gzip.NoCompression)
		if err != nil {
			return err
		}
		tw := tar.NewWriter(io.MultiWriter(gz, plain.Hash()))
		header := &tar.Header{Name: "content", Mode: 0o644, Size: i.Spec.LayerSize, Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.CopyN(tw, content, i.Spec.LayerSize); err != nil {
			return err
		}
		if err := tw.Close(); err != nil {
			return err
		}
		return gz.Close()
	})
	return desc, plain.Digest(), err
}

// blob writes what fill writes as a blob of the layout.
func (i *Image) blob(mediaType string, fill func(io.Writer) error) (ocispec.Descriptor, error) {
	dir := filepath.Join(i.Layout, ocispec.ImageBlobsDir, digest.Canonical.String())
	f, err := os.CreateTemp(dir, "new-")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	// A second time where all went well.
	defer f.Close()
	digester := digest.Canonical.Digester()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := fill(io.MultiWriter(buffered, digester.Hash())); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := buffered.Flush(); err != nil {
		return ocispec.Descriptor{}, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := f.Chmod(0o644); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := f.Close(); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digester.Digest(), Size: size}
	return desc, os.Rename(f.Name(), blobPath(i.Layout, desc.Digest))
}
