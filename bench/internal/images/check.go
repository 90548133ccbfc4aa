package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CheckRegistry reports what a repository lacks of the image: its tags have to name the roots,
// all documents have to match their digests, and the blobs have to be there in their size.
// The bytes of a blob were hashed by the registry when it took them.
func (i *Image) CheckRegistry(ctx context.Context, host, repository string) error {
	base := fmt.Sprintf("http://%s/v2/%s/", host, repository)
	for _, tag := range i.Tags {
		if err := checkDocument(ctx, base+"manifests/"+tag.Name, tag.Root); err != nil {
			return err
		}
	}
	for _, desc := range i.Manifests {
		if err := checkDocument(ctx, base+"manifests/"+desc.Digest.String(), desc); err != nil {
			return err
		}
	}
	for _, desc := range i.Blobs {
		response, err := do(ctx, http.MethodHead, base+"blobs/"+desc.Digest.String())
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.ContentLength != desc.Size {
			return fmt.Errorf("blob %s has %d bytes instead of %d", desc.Digest, response.ContentLength, desc.Size)
		}
	}
	return nil
}

// CheckLayout reports what a layout lacks of the image: as CheckRegistry does, but every
// blob is hashed if hash is HashBlobs.
func (i *Image) CheckLayout(layout string, hash Hash) error {
	data, err := os.ReadFile(filepath.Join(layout, ocispec.ImageIndexFile))
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("reading the layout's index: %w", err)
	}
	for _, tag := range i.Tags {
		if !slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == tag.Root.Digest }) {
			return fmt.Errorf("the layout's index lacks the root %s", tag.Root.Digest)
		}
	}
	for _, desc := range i.Manifests {
		if err := checkFile(layout, desc, HashBlobs); err != nil {
			return err
		}
	}
	for _, desc := range i.Blobs {
		if err := checkFile(layout, desc, hash); err != nil {
			return err
		}
	}
	return nil
}

// Hash says whether blobs are hashed, which takes time.
type Hash string

// The values of Hash.
const (
	HashBlobs Hash = "hash"
	SizesOnly Hash = "sizes"
)

func checkFile(layout string, desc ocispec.Descriptor, hash Hash) error {
	f, err := os.Open(blobPath(layout, desc.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != desc.Size {
		return fmt.Errorf("blob %s has %d bytes instead of %d", desc.Digest, info.Size(), desc.Size)
	}
	if hash == SizesOnly {
		return nil
	}
	return matches(f, desc)
}

func checkDocument(ctx context.Context, url string, desc ocispec.Descriptor) error {
	response, err := do(ctx, http.MethodGet, url)
	if err != nil {
		return err
	}
	return errors.Join(matches(response.Body, desc), response.Body.Close())
}

func matches(r io.Reader, desc ocispec.Descriptor) error {
	found, err := digest.Canonical.FromReader(r)
	if err != nil {
		return fmt.Errorf("reading %s: %w", desc.Digest, err)
	}
	if found != desc.Digest {
		return fmt.Errorf("%s has the digest %s", desc.Digest, found)
	}
	return nil
}

// do sends a request and fails unless it is answered with 200.
func do(ctx context.Context, method, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Add("Accept", ocispec.MediaTypeImageIndex)
	request.Header.Add("Accept", ocispec.MediaTypeImageManifest)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s %s: %s", method, url, response.Status), response.Body.Close())
	}
	return response, nil
}
