package wire_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/ref"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
)

// repository returns that of the registry, for a use.
func (p *parties) repository(use hosts.Use) *client.Repository {
	p.t.Helper()
	name, err := ref.Parse("registry.example/app")
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := p.client.Repository(name, use)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// The manifest and the blob that all rows are about.
var (
	manifest = []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	document = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	content  = random(1 << 20)
	layer    = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(len(content))}
)

func random(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{77}).Read(data)
	return data
}

// get gets a manifest, which has to be ours.
func get(reference string) func(context.Context, *parties) error {
	return func(ctx context.Context, p *parties) error {
		desc, data, err := p.repository(hosts.Pull).Get(ctx, reference)
		if err == nil && (desc.Digest != document.Digest || !bytes.Equal(data, manifest)) {
			return fmt.Errorf("got %s: %s", desc.Digest, data)
		}
		return err
	}
}

func head(ctx context.Context, p *parties) error {
	desc, err := p.repository(hosts.Pull).Head(ctx, "v1")
	if err == nil && desc.Digest != document.Digest {
		return fmt.Errorf("got %s", desc.Digest)
	}
	return err
}

func put(ctx context.Context, p *parties) error {
	return p.repository(hosts.Push).Put(ctx, document, manifest, "v1")
}

// pull reads the layer, which has to be ours.
func pull(ctx context.Context, p *parties) error { return pullAs(layer)(ctx, p) }

func pullAs(desc ocispec.Descriptor) func(context.Context, *parties) error {
	return func(ctx context.Context, p *parties) error {
		in, err := p.repository(hosts.Pull).OpenBlob(ctx, desc, 0)
		if err != nil {
			return err
		}
		defer in.Close()
		data, err := io.ReadAll(in)
		if err == nil && !bytes.Equal(data, content) {
			return fmt.Errorf("got %d other bytes", len(data))
		}
		return err
	}
}

// push sends the layer.
func push(ctx context.Context, p *parties) error { return pushFrom("")(ctx, p) }

func pushFrom(repository string) func(context.Context, *parties) error {
	return func(ctx context.Context, p *parties) error {
		open := func(_ context.Context, from int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content[from:])), nil
		}
		_, err := p.repository(hosts.Push).Blobs().Push(ctx, layer, open, blob.PushOptions{MountFrom: repository})
		return err
	}
}
