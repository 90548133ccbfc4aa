package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

// built is the time in every document and tar header.
func built() time.Time { return time.Date(2024, time.May, 6, 7, 8, 9, 0, time.UTC) }

// file is an entry of a layer: a directory if its name ends in a slash.
type file struct {
	name string
	mode int64
	data []byte
}

// layer is a layer in the store, and the line of history that tells of it.
type layer struct {
	desc   ocispec.Descriptor
	diffID digest.Digest
	made   string
}

// addLayer puts the files into the store as a gzipped tar.
func addLayer(store *testimage.Store, made string, files ...file) (layer, error) {
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, f := range files {
		// A name that ends in a slash makes the header that of a directory.
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: built(), Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return layer{}, fmt.Errorf("layer %q: %w", made, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return layer{}, fmt.Errorf("layer %q: %s: %w", made, f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return layer{}, fmt.Errorf("layer %q: %w", made, err)
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return layer{}, fmt.Errorf("packing layer %q: %w", made, err)
	}
	if err := z.Close(); err != nil {
		return layer{}, fmt.Errorf("packing layer %q: %w", made, err)
	}
	return layer{
		desc:   store.Put(ocispec.MediaTypeImageLayerGzip, packed.Bytes()),
		diffID: digest.FromBytes(plain.Bytes()),
		made:   made,
	}, nil
}

// addLayers puts the layers of the image of one platform into the store. Those
// for Linux share the first one.
func addLayers(store *testimage.Store, p program) ([]layer, error) {
	if p.platform.OS == "windows" {
		l, err := addLayer(store, "COPY hello.exe",
			file{name: "Files/", mode: 0o755},
			file{name: "Files/hello.exe", mode: 0o755, data: p.code},
			file{name: "Hives/", mode: 0o755},
		)
		return []layer{l}, err
	}
	base, err := addLayer(store, "COPY etc",
		file{name: "etc/", mode: 0o755},
		file{name: "etc/os-release", mode: 0o644, data: []byte("ID=hello\nPRETTY_NAME=\"Dhow's sample\"\n")},
		file{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0::/:\nhello:x:1000:1000::/:\n")},
	)
	if err != nil {
		return nil, err
	}
	top, err := addLayer(store, "COPY hello", file{name: "hello", mode: 0o755, data: p.code})
	return []layer{base, top}, err
}
