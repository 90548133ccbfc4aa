package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/transport"
)

// TestSaveCompleted checks that what is missing comes from elsewhere, and only that.
func TestSaveCompleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd, arm, s390 := f.image(t, "linux/amd64", "app"), f.image(t, "linux/arm64", "app"), f.image(t, "linux/s390x", "app")
	list := withAttestations(f, amd, arm, s390)
	layer := f.children(t, s390)[1]
	f.putPart(t, list, lack(arm.Digest, layer.Digest), "app:1")
	single := f.image(t, "linux/amd64", "single")
	f.putPart(t, single, lack(f.children(t, single)[1].Digest), "single")
	f.put(t, f.image(t, "linux/amd64", "whole"), "whole")
	for name, tc := range map[string]struct {
		reference string
		asked     []string
		asks      []string
		root      digest.Digest
	}{
		"a list":                               {"app:1", nil, []string{"docker.io/library/app:1"}, list.Digest},
		"a platform that is not here":          {"app:1", []string{"linux/arm64"}, []string{"docker.io/library/app:1"}, arm.Digest},
		"a single image":                       {"single", nil, []string{"docker.io/library/single:latest"}, single.Digest},
		"a manifest by its digest":             {s390.Digest.String(), nil, []string{s390.Digest.String()}, s390.Digest},
		"what is here as a whole is not asked": {"whole", nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asks []string
			remote := &countedSource{memorySource: &memorySource{Store: f.src}}
			opts := service.SaveOptions{Index: service.SaveCompleted, Complete: func(_ context.Context, reference string) (transport.Source, error) {
				asks = append(asks, reference)
				return remote, nil
			}}
			for _, p := range tc.asked {
				opts.Platforms = append(opts.Platforms, parsePlatform(t, p))
			}
			data, saved := f.save(t, opts, tc.reference)
			if diff := cmp.Diff(tc.asks, asks); diff != "" {
				t.Error("asked for (-want +got):\n", diff)
			}
			if remote.closed != len(asks) {
				t.Errorf("closed %d times", remote.closed)
			}
			for _, d := range remote.opened {
				if f.has(t, d) {
					t.Errorf("%s is here, and was taken from elsewhere", d)
				}
			}
			if tc.root == "" {
				return
			}
			if got := saved.Images[0].Root; got.Digest != tc.root {
				t.Errorf("saved %s", got.Digest)
			}
			to, _ := loadAnew(t, data, service.LoadOptions{})
			to.wantAll(t, f.src, saved.Images[0].Root)
		})
	}
}

// countedSource notes what is read of it.
type countedSource struct {
	*memorySource
	mu     sync.Mutex
	opened []digest.Digest
	closed int
}

func (s *countedSource) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.opened = append(s.opened, desc.Digest)
	s.mu.Unlock()
	return s.memorySource.Open(ctx, desc, from)
}

func (s *countedSource) Close() error {
	s.closed++
	return nil
}

// TestSaveNotCompleted checks that nothing is written if what completes an image cannot be
// opened, and that what it does not have is an error.
func TestSaveNotCompleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd, arm := f.image(t, "linux/amd64", "app"), f.image(t, "linux/arm64", "app")
	f.putPart(t, f.src.Index(amd, arm), lack(arm.Digest), "app:1")
	var out bytes.Buffer
	boom := errors.New("boom")
	_, err := f.Save(t.Context(), &out, []string{"app:1"}, service.SaveOptions{Index: service.SaveCompleted, Complete: func(context.Context, string) (transport.Source, error) {
		return nil, boom
	}})
	if !errors.Is(err, boom) || out.Len() > 0 {
		t.Errorf("Save: %v, %d bytes", err, out.Len())
	}
	f.wantNoLease(t)
	f.src.Delete(arm.Digest)
	_, err = f.Save(t.Context(), &out, []string{"app:1"}, service.SaveOptions{Index: service.SaveCompleted, Complete: func(context.Context, string) (transport.Source, error) {
		return &memorySource{Store: f.src, root: ocispec.Descriptor{}}, nil
	}})
	if !errdefs.IsUnavailable(err) || out.Len() > 0 {
		t.Errorf("Save: %v, %d bytes", err, out.Len())
	}
	f.wantNoLease(t)
}
