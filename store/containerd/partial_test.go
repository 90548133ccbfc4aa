package containerd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// begin begins a batch under a lease of its own, until the end of the test.
func begin(t *testing.T, s *Store) store.Batch {
	t.Helper()
	l, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	b, err := s.Begin(t.Context(), l.ID)
	if err != nil {
		t.Fatal("Begin:", err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// layer returns content that no other test has, and how to open it.
func layer(t *testing.T) ([]byte, ocispec.Descriptor, store.Opener) {
	t.Helper()
	data := bytes.Repeat([]byte(t.Name()), 200<<10/len(t.Name()))
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return data, desc, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	}
}

// TestPartialOfPut shows that what is left of a Put is known as its digest, and is not
// taken away from another process that writes it.
func TestPartialOfPut(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	one, two := connect(t, d, namespace), connect(t, d, namespace)
	data, desc, _ := layer(t)
	b := begin(t, two)
	from, to := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := b.Put(t.Context(), desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) { return from, nil })
		done <- err
	}()
	if _, err := to.Write(data[:1000]); err != nil { // then the Put has begun
		t.Fatal(err)
	}
	if err := one.Abort(t.Context(), desc.Digest.String()); !errdefs.IsUnavailable(err) {
		t.Errorf("Abort of what another process writes: %v; want %v", err, errdefs.ErrUnavailable)
	}
	cut := errors.New("cut")
	if err := to.CloseWithError(cut); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, cut) {
		t.Errorf("Put: %v; want %v", err, cut)
	}
	partial, err := one.Partial(t.Context())
	if err != nil || len(partial) != 1 || partial[0].Ref != desc.Digest.String() || partial[0].Offset != 1000 {
		t.Errorf("Partial: %+v, %v", partial, err)
	}
	if err := one.Abort(t.Context(), desc.Digest.String()); err != nil {
		t.Errorf("Abort: %v", err)
	}
	if partial, err := two.Partial(t.Context()); err != nil || len(partial) != 0 {
		t.Errorf("after Abort: %+v, %v", partial, err)
	}
}

// TestPutTwice shows that processes which put the same blobs, each in another order, need
// not wait for each other.
func TestPutTwice(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	one, two := begin(t, connect(t, d, namespace)), begin(t, connect(t, d, namespace))
	data, first, open := layer(t)
	both := slices.Concat(data, data)
	second := ocispec.Descriptor{MediaType: first.MediaType, Digest: digest.FromBytes(both), Size: int64(len(both))}
	openBoth := func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(both[from:])), nil
	}
	put := func(b store.Batch, desc ocispec.Descriptor, open store.Opener) {
		t.Helper()
		if put, err := b.Put(t.Context(), desc, image.RoleLayer, open); put != store.Written || err != nil {
			t.Errorf("Put: %s, %v", put, err)
		}
	}
	put(one, first, open)
	put(two, second, openBoth)
	put(one, second, openBoth)
	put(two, first, open)
	for _, b := range []store.Batch{one, two} {
		if _, err := b.Publish(t.Context()); err != nil {
			t.Error("Publish:", err)
		}
		if err := b.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
	s := connect(t, d, namespace)
	wantBytes(t, s, first.Digest, data)
	wantBytes(t, s, second.Digest, both)
	if partial, err := s.Partial(t.Context()); err != nil || len(partial) != 0 {
		t.Errorf("left: %+v, %v", partial, err)
	}
}
