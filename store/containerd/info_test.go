package containerd

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// TestInfo counts what is in a namespace, and no more of it is told than containerd does.
func TestInfo(t *testing.T) {
	t.Parallel()
	d := running(t)
	address := d.address(newNamespace())
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lease, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(t.Context(), lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	data := []byte("a layer")
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(data), Size: int64(len(data))}
	_, err = b.Put(t.Context(), desc, image.RoleLayer, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
	if err == nil {
		_, err = b.Publish(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"format", "state", "files", "inline", "free"} {
		if got.Untold[field] == "" {
			t.Errorf("%s is not told, and not why", field)
		}
	}
	got.Untold = nil
	want := store.Info{
		Engine: "containerd", Location: address, Names: new(0), Dangling: new(0), Leases: new(1),
		Blobs: &store.Amount{Count: 1, Bytes: desc.Size}, Partial: &store.Amount{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("- wanted + got:\n%s", diff)
	}
}
