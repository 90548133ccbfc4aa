package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// TestRoleRace: what a blob turns out to be is noted, also when it does so while it is published.
func TestRoleRace(t *testing.T) {
	s := openHere(t)
	b := batchOf(t, s, "l")
	for i := range 200 {
		empty := b.putBytes(t, ocispec.MediaTypeEmptyJSON, image.RoleConfig, []byte("{}"))
		data := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"a/%d","config":%s,"layers":[]}`, ocispec.MediaTypeImageManifest, i, linkOf(empty))
		desc := b.putBytes(t, "a/b", image.RoleLayer, data)
		done := make(chan error, 1)
		go func() { _, err := b.Publish(context.Background()); done <- err }()
		b.putBytes(t, ocispec.MediaTypeImageManifest, image.RoleManifest, data)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Facts(t.Context(), desc.Digest); err != nil {
			t.Fatal(i, "Facts of what was put as a manifest, and published since:", err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error("Close:", err)
	}
}

// TestLeaseMadeAnew: a lease that is made anew is another one, and no batch's that began before.
func TestLeaseMadeAnew(t *testing.T) {
	s, later := clocked(t)
	if _, err := s.Lease(t.Context(), store.Lease{ID: "x", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	in, err := s.Begin(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	b := in.(*batch)
	defer b.Close()
	child := b.artifact(t, "")
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(2 * time.Hour))
	if _, err := s.Lease(t.Context(), store.Lease{ID: "x"}); err != nil { // somebody else's
		t.Fatal(err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	list := b.list(t, []ocispec.Descriptor{child}, "")
	_, err = b.Publish(t.Context(), store.Move{Name: "docker.io/library/x:1", To: list})
	if !errdefs.IsNotFound(err) {
		_, stat := s.Stat(t.Context(), child.Digest)
		t.Errorf("Publish of a batch whose lease is over: %v; what it had published before: %v", err, stat)
	}
}

// TestUnknownSize: a blob of unknown size, which another batch has placed, is understood.
func TestUnknownSize(t *testing.T) {
	s := openHere(t)
	a, b := batchOf(t, s, "a"), batchOf(t, s, "b")
	empty := a.putBytes(t, ocispec.MediaTypeEmptyJSON, image.RoleConfig, []byte("{}"))
	data := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"a/b","config":%s,"layers":[],"annotations":{"a":%q}}`,
		ocispec.MediaTypeImageManifest, linkOf(empty), strings.Repeat("x", 100_000))
	desc := a.putBytes(t, "a/b", image.RoleLayer, data)
	if err := s.place(t.Context(), []*pending{a.blobs[desc.Digest].pending}); err != nil { // as a Publish does
		t.Fatal(err)
	}
	desc.MediaType, desc.Size = ocispec.MediaTypeImageManifest, -1
	_, err := b.Put(t.Context(), desc, image.RoleManifest, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
	if err != nil {
		t.Error("Put:", err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Error("Close:", err)
	}
}
