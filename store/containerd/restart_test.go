package containerd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testcontainerd"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// own starts a daemon for one test.
func own(t *testing.T) *daemon {
	t.Helper()
	return &daemon{testcontainerd.Run(t)}
}

// TestRestart kills the daemon: what was acknowledged is there afterwards, the store
// says so while it is gone, and goes on when it is back.
func TestRestart(t *testing.T) {
	t.Parallel()
	d := own(t)
	s := connect(t, d, "default")
	var src testimage.Store
	l, err := s.Lease(t.Context(), store.Lease{ID: "mine"})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	for i := range 3 {
		name := fmt.Sprintf("docker.io/library/x:%d", i)
		root := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Name: name, LayerSize: 100 << 10})
		publish(t, s, l.ID, &src, root, store.Move{Name: name, To: target(root)})
		if err := d.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the loss is noticed", func() bool {
			err := s.View(t.Context(), func(store.NameReader) error { return nil })
			if err != nil && !errdefs.IsUnavailable(err) {
				t.Fatalf("View: %v; want %v", err, errdefs.ErrUnavailable)
			}
			return err != nil
		})
		if _, err := s.Stat(t.Context(), root.Digest); !errdefs.IsUnavailable(err) {
			t.Errorf("Stat: %v; want %v", err, errdefs.ErrUnavailable)
		}
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the store goes on", func() bool { return s.View(t.Context(), func(store.NameReader) error { return nil }) == nil })
		for _, s := range []*Store{s, connect(t, d, "default")} {
			if found := keysOf(t, s, everything); len(found) != i+1 || found[i] != name {
				t.Errorf("names: %q", found)
			}
			for _, d := range src.Digests() {
				wantBytes(t, s, d, src.Get(d))
			}
			if leases, err := s.Leases(t.Context()); err != nil || len(leases) != 1 || leases[0].ID != "mine" {
				t.Errorf("leases: %+v, %v", leases, err)
			}
		}
	}
}

// publish writes an image.
func publish(t *testing.T, s *Store, lease string, src *testimage.Store, root ocispec.Descriptor, moves ...store.Move) {
	t.Helper()
	graph, err := image.Walker{Fetch: src.Fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(t.Context(), lease)
	if err != nil {
		t.Fatal("Begin:", err)
	}
	for _, n := range graph.Nodes() {
		if _, err := b.Put(t.Context(), n.Desc, n.Role, opener(src, n.Desc)); err != nil {
			t.Fatal("Put:", err)
		}
	}
	if _, err := b.Publish(t.Context(), moves...); err != nil {
		t.Fatal("Publish:", err)
	}
	if err := b.Close(); err != nil {
		t.Error("Close:", err)
	}
}

func wantBytes(t *testing.T, s *Store, d digest.Digest, want []byte) {
	t.Helper()
	got, err := s.readAll(t.Context(), d, int64(len(want)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v", d, len(got), err)
	}
}

// TestCounts shows what a collection tells, where nobody else collects.
func TestCounts(t *testing.T) {
	t.Parallel()
	d := own(t)
	s := connect(t, d, "default")
	var src testimage.Store
	l, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	root := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, LayerSize: 100 << 10})
	publish(t, s, l.ID, &src, root)
	var size int64
	for _, d := range src.Digests() {
		size += int64(len(src.Get(d)))
	}
	if c, err := s.Collect(t.Context()); err != nil || c.Blobs != 0 || c.Bytes != 0 || c.Examined != 3 {
		t.Errorf("Collect of nothing: %+v, %v", c, err)
	}
	if err := s.Release(t.Context(), l.ID); err != nil {
		t.Fatal("Release:", err)
	}
	if c, err := s.Collect(t.Context()); err != nil || c.Blobs != 3 || c.Bytes != size || c.Leases != 0 || c.More {
		t.Errorf("Collect: %+v, %v; want 3 blobs of %d bytes", c, err, size)
	}
}

func opener(src *testimage.Store, desc ocispec.Descriptor) store.Opener {
	return func(ctx context.Context, from int64) (io.ReadCloser, error) { return src.Open(ctx, desc, from) }
}
