package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

func openHere(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir()+"/store", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return s
}

func batchOf(t *testing.T, s *Store, lease string) *batch {
	t.Helper()
	if _, err := s.Lease(t.Context(), store.Lease{ID: lease}); err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(t.Context(), lease)
	if err != nil {
		t.Fatal(err)
	}
	return b.(*batch)
}

func (b *batch) putBytes(t *testing.T, mediaType string, role image.Role, data []byte) ocispec.Descriptor {
	t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	_, err := b.Put(t.Context(), desc, role, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
	if err != nil {
		t.Fatal("Put:", err)
	}
	return desc
}

// TestGivenUpAndWrittenAnew: a batch that has placed a file, and then cannot publish, gives it
// up at any moment before, while and after another batch writes and publishes the same.
func TestGivenUpAndWrittenAnew(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, left := range []string{"before it is put", "before it is published", "after it is published"} {
		t.Run(left, func(t *testing.T) {
			t.Parallel()
			s := openHere(t)
			a, b := batchOf(t, s, "a"), batchOf(t, s, "b")
			desc := a.putBytes(t, "a/b", image.RoleLayer, data)
			w := a.blobs[desc.Digest]
			if err := s.place(t.Context(), []*pending{w.pending}); err != nil { // as a Publish does
				t.Fatal(err)
			}
			giveUp := func(now string) {
				if left == now {
					if err := a.Close(); err != nil {
						t.Error("Close:", err)
					}
				}
			}
			giveUp("before it is put")
			b.putBytes(t, "a/b", image.RoleLayer, data)
			giveUp("before it is published")
			if _, err := b.Publish(t.Context()); err != nil {
				t.Fatal("Publish:", err)
			}
			giveUp("after it is published")
			if _, err := s.Stat(t.Context(), desc.Digest); err != nil {
				t.Error("Stat of what was published, and a lease holds:", err)
			}
		})
	}
}

// TestTakenBack: what was placed for nothing is not removed under whoever has come to use it,
// but is looked at again.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, published := range []bool{false, true} {
		s := openHere(t)
		a, b := batchOf(t, s, "a"), batchOf(t, s, "b")
		desc := a.putBytes(t, "a/b", image.RoleLayer, data)
		w := a.blobs[desc.Digest]
		if err := s.place(t.Context(), []*pending{w.pending}); err != nil {
			t.Fatal(err)
		}
		s.pendings.leave(w.pending) // the first half of Close; the others come in between
		b.putBytes(t, "a/b", image.RoleLayer, data)
		if published {
			if _, err := b.Publish(t.Context()); err != nil {
				t.Fatal("Publish:", err)
			}
		}
		s.uses.release(w.digest)
		if err := s.takeBack(w.digest); err != nil {
			t.Error("takeBack:", err)
		}
		if !published {
			if _, err := b.Publish(t.Context()); err != nil {
				t.Fatal("Publish:", err)
			}
		}
		if _, err := store.Collect(t.Context(), s); err != nil {
			t.Error("Collect:", err)
		}
		if _, err := s.Stat(t.Context(), desc.Digest); err != nil {
			t.Errorf("published %t: Stat of what a lease holds: %v", published, err)
		}
		a.blobs = nil // it was given up by hand
	}
}

// TestUnderstoodWhateverComesFirst: a manifest that one batch has put as a layer keeps what is
// below it when another one brings the list that calls it a manifest, though neither sees the
// other when it looks.
func TestUnderstoodWhateverComesFirst(t *testing.T) {
	t.Parallel()
	link := func(d ocispec.Descriptor) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
	}
	for _, first := range []string{"a", "b"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			s := openHere(t)
			a, b := batchOf(t, s, "a"), batchOf(t, s, "b")
			layer := a.putBytes(t, ocispec.MediaTypeImageLayer, image.RoleLayer, []byte("a layer"))
			config := a.putBytes(t, ocispec.MediaTypeImageConfig, image.RoleConfig, []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`))
			manifest := a.putBytes(t, "application/octet-stream", image.RoleLayer, fmt.Appendf(nil,
				`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, link(config), link(layer)))
			manifest.MediaType = ocispec.MediaTypeImageManifest
			list := b.putBytes(t, ocispec.MediaTypeImageIndex, image.RoleIndex, fmt.Appendf(nil,
				`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, link(manifest)))
			const name = "docker.io/library/x:1"
			publish := map[string]func() error{
				"a": func() error { _, err := a.Publish(t.Context()); return err },
				"b": func() error {
					_, err := b.Publish(t.Context(), store.Move{Name: name, To: list})
					return err
				},
			}
			other := map[string]string{"a": "b", "b": "a"}[first]
			// Both have looked before one is there.
			done := make(chan error, 2)
			s.commits.gate.Lock()
			for i, which := range []string{first, other} {
				go func() { done <- publish[which]() }()
				for waiting := -1; waiting < i; time.Sleep(time.Millisecond) { // one is taken, the others wait
					s.commits.mu.Lock()
					if s.commits.running {
						waiting = len(s.commits.queue)
					}
					s.commits.mu.Unlock()
				}
			}
			s.commits.gate.Unlock()
			if err := errors.Join(<-done, <-done); err != nil {
				t.Fatal("Publish:", err)
			}
			for _, end := range []func() error{
				a.Close, b.Close, func() error { return s.Release(t.Context(), "a") }, func() error { return s.Release(t.Context(), "b") },
				func() error { _, err := store.Collect(t.Context(), s); return err },
			} {
				if err := end(); err != nil {
					t.Error(err)
				}
			}
			for _, d := range []ocispec.Descriptor{list, manifest, config, layer} {
				if _, err := s.Stat(t.Context(), d.Digest); err != nil {
					t.Error("Stat of what is below a name:", err)
				}
			}
		})
	}
}
