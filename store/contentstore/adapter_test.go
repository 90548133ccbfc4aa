package contentstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/contentstore"
)

// world is an adapter over a store.
type world struct {
	content.Store
	under store.Store
	src   testimage.Store
}

// newWorld opens a store until the end of the test, and has all that the adapter
// commits held by a lease, if one is named.
func newWorld(t *testing.T, lease string) *world {
	t.Helper()
	s, err := open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	if lease != "" {
		if _, err := s.Lease(t.Context(), store.Lease{ID: lease}); err != nil {
			t.Fatal("Lease:", err)
		}
	}
	return &world{Store: contentstore.New(s, contentstore.Options{Lease: lease}), under: s}
}

// write commits content, under its digest as ref.
func (w *world) write(t *testing.T, desc ocispec.Descriptor) {
	t.Helper()
	if err := content.WriteBlob(t.Context(), w, desc.Digest.String(), bytes.NewReader(w.src.Get(desc.Digest)), desc); err != nil {
		t.Fatalf("WriteBlob of %s: %v", desc.MediaType, err)
	}
}

// writeImage commits what is below a manifest, and it.
func (w *world) writeImage(t *testing.T, root ocispec.Descriptor) {
	t.Helper()
	doc, err := image.Decode(w.src.Get(root.Digest), image.Declared{Descriptor: root.MediaType}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range doc.Edges() {
		w.write(t, e.Desc)
	}
	w.write(t, root)
}

func (w *world) collect(t *testing.T) {
	t.Helper()
	if _, err := store.Collect(t.Context(), w.under); err != nil {
		t.Fatal("Collect:", err)
	}
}

// wantThere checks which content there is.
func (w *world) wantThere(t *testing.T, want ...digest.Digest) {
	t.Helper()
	var found []digest.Digest
	err := w.Walk(t.Context(), func(info content.Info) error {
		found = append(found, info.Digest)
		return nil
	})
	slices.Sort(want)
	if want = slices.Compact(want); err != nil || !slices.Equal(found, want) {
		t.Errorf("Walk: %v, %v; want %v", found, err, want)
	}
}

func wantKind(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// TestHeldUntilDelete shows that content stays until it is deleted, and longer where
// something else needs it.
func TestHeldUntilDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	root := w.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	w.writeImage(t, root)
	all := w.src.Digests()
	w.collect(t)
	w.wantThere(t, all...)
	target := ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}
	if _, err := w.under.Move(t.Context(), store.Move{Name: "docker.io/library/busybox:latest", To: target}); err != nil {
		t.Fatal("Move:", err)
	}
	for range 2 {
		for _, d := range all {
			if err := w.Delete(t.Context(), d); err != nil {
				t.Error("Delete of what a name needs:", err)
			}
		}
		w.wantThere(t, all...)
	}
	if _, err := w.under.Move(t.Context(), store.Move{Name: "docker.io/library/busybox:latest", Forget: true}); err != nil {
		t.Fatal("Move:", err)
	}
	w.collect(t)
	w.wantThere(t)
	wantKind(t, "Delete of what is gone", w.Delete(t.Context(), root.Digest), errdefs.ErrNotFound)
	if leases, err := w.under.Leases(t.Context()); len(leases) != 0 || err != nil {
		t.Errorf("leases are left: %+v, %v", leases, err)
	}
}

// TestDeleteOne shows that Delete has the content go at once.
func TestDeleteOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	stays, goes := w.src.Put("a/b", []byte("stays")), w.src.Put("a/b", []byte("goes"))
	w.write(t, stays)
	w.write(t, goes)
	r, err := w.ReaderAt(t.Context(), goes)
	if err != nil {
		t.Fatal("ReaderAt:", err)
	}
	if err := w.Delete(t.Context(), goes.Digest); err != nil {
		t.Error("Delete:", err)
	}
	if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size())); string(got) != "goes" || err != nil {
		t.Errorf("an open reader: %q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error("Close:", err)
	}
	w.collect(t)
	w.wantThere(t, stays.Digest)
	w.write(t, goes)
	if err := w.Delete(t.Context(), goes.Digest); err != nil {
		t.Error("Delete:", err)
	}
	w.wantThere(t, stays.Digest)
}

// TestCallersLease shows that content ends with the lease of the caller, or goes on
// under a name.
func TestCallersLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mine")
	named := w.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	w.writeImage(t, named)
	all := w.src.Digests()
	other := w.src.Put("a/b", []byte("other"))
	w.write(t, other)
	wantKind(t, "Delete", w.Delete(t.Context(), other.Digest), errdefs.ErrFailedPrecondition)
	w.collect(t)
	w.wantThere(t, w.src.Digests()...)
	target := ocispec.Descriptor{MediaType: named.MediaType, Digest: named.Digest, Size: named.Size}
	if _, err := w.under.Move(t.Context(), store.Move{Name: "docker.io/library/busybox:latest", To: target}); err != nil {
		t.Fatal("Move:", err)
	}
	if err := w.under.Release(t.Context(), "mine"); err != nil {
		t.Fatal("Release:", err)
	}
	w.collect(t)
	w.wantThere(t, all...)
	_, err := w.Writer(t.Context(), content.WithRef("x"))
	wantKind(t, "Writer without the lease", err, errdefs.ErrNotFound)
}

// TestFoundThere shows that content which is there already is held for whoever wanted
// to write it.
func TestFoundThere(t *testing.T) {
	t.Parallel()
	for _, lease := range []string{"", "mine"} {
		for name, try := range map[string]func(w *world, desc ocispec.Descriptor) error{
			"asked for": func(w *world, desc ocispec.Descriptor) error {
				_, err := w.Writer(t.Context(), content.WithRef("x"), content.WithDescriptor(desc))
				return err
			},
			"written": func(w *world, desc ocispec.Descriptor) error {
				writer, err := w.Writer(t.Context(), content.WithRef("x"))
				if err != nil {
					return err
				}
				if _, err := writer.Write(w.src.Get(desc.Digest)); err != nil {
					return err
				}
				return writer.Commit(t.Context(), desc.Size, desc.Digest)
			},
		} {
			t.Run(name+" "+lease, func(t *testing.T) {
				w := newWorld(t, lease)
				desc := w.src.Put("a/b", []byte("x"))
				l, err := w.under.Lease(t.Context(), store.Lease{ID: "other"})
				if err != nil {
					t.Fatal("Lease:", err)
				}
				other := &world{Store: contentstore.New(w.under, contentstore.Options{Lease: l.ID}), under: w.under}
				other.src.Set(desc.Digest, w.src.Get(desc.Digest))
				other.write(t, desc)
				wantKind(t, "writing what is there", try(w, desc), errdefs.ErrAlreadyExists)
				if err := w.under.Release(t.Context(), l.ID); err != nil {
					t.Fatal("Release:", err)
				}
				w.collect(t)
				w.wantThere(t, desc.Digest)
			})
		}
	}
}

// TestInfo shows what is told of content, and what cannot be changed.
func TestInfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	desc := w.src.Put("a/b", []byte("some bytes"))
	w.write(t, desc)
	other := w.src.Put("a/b", []byte("other"))
	w.write(t, other)
	info, err := w.Info(t.Context(), desc.Digest)
	if err != nil || info.Digest != desc.Digest || info.Size != desc.Size || info.CreatedAt.IsZero() || !info.UpdatedAt.Equal(info.CreatedAt) {
		t.Errorf("Info: %+v, %v", info, err)
	}
	info.Labels = map[string]string{"a": "b"}
	_, err = w.Update(t.Context(), info, "labels.a")
	wantKind(t, "Update", err, errdefs.ErrFailedPrecondition)
	info.Digest = digest.FromString("absent")
	_, err = w.Update(t.Context(), info)
	wantKind(t, "Update of what is absent", err, errdefs.ErrNotFound)
	_, err = w.Info(t.Context(), info.Digest)
	wantKind(t, "Info of what is absent", err, errdefs.ErrNotFound)
	_, err = w.ReaderAt(t.Context(), ocispec.Descriptor{Digest: info.Digest})
	wantKind(t, "ReaderAt of what is absent", err, errdefs.ErrNotFound)
	var found []digest.Digest
	collect := func(info content.Info) error { found = append(found, info.Digest); return nil }
	if err := w.Walk(t.Context(), collect, "digest=="+desc.Digest.String()); err != nil || !slices.Equal(found, []digest.Digest{desc.Digest}) {
		t.Errorf("Walk with a filter: %v, %v", found, err)
	}
	if err := w.Walk(t.Context(), collect, "=="); err == nil {
		t.Error("Walk with a bad filter: no error")
	}
	broken := errors.New("broken")
	wantKind(t, "Walk", w.Walk(t.Context(), func(content.Info) error { return broken }), broken)
}

// TestStatuses shows what is told of what is being written.
func TestStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	desc := w.src.Put("a/b", []byte("0123456789"))
	writers := map[string]content.Writer{}
	for _, ref := range []string{"one", "two"} {
		writer, err := w.Writer(t.Context(), content.WithRef(ref), content.WithDescriptor(desc))
		if err != nil {
			t.Fatal("Writer:", err)
		}
		if _, err := writer.Write([]byte("01234")); err != nil {
			t.Fatal("Write:", err)
		}
		writers[ref] = writer
	}
	status, err := w.Status(t.Context(), "one")
	if err != nil || status.Ref != "one" || status.Offset != 5 || status.Total != 10 || status.Expected != desc.Digest || status.StartedAt.IsZero() {
		t.Errorf("Status: %+v, %v", status, err)
	}
	_, err = w.Status(t.Context(), "three")
	wantKind(t, "Status of nothing", err, errdefs.ErrNotFound)
	all, err := w.ListStatuses(t.Context(), "ref==two")
	if err != nil || len(all) != 1 || all[0].Ref != "two" {
		t.Errorf("ListStatuses with a filter: %+v, %v", all, err)
	}
	if _, err := w.ListStatuses(t.Context(), "=="); err == nil {
		t.Error("ListStatuses with a bad filter: no error")
	}
	wantKind(t, "Abort of what is open", w.Abort(t.Context(), "one"), errdefs.ErrUnavailable)
	for ref, writer := range writers {
		for range 2 {
			if err := writer.Close(); err != nil {
				t.Error("Close:", err)
			}
		}
		_, err := writer.Write([]byte("x"))
		wantKind(t, "Write after Close", err, errdefs.ErrFailedPrecondition)
		_, err = writer.Status()
		wantKind(t, "Status after Close", err, errdefs.ErrFailedPrecondition)
		wantKind(t, "Truncate after Close", writer.Truncate(0), errdefs.ErrFailedPrecondition)
		wantKind(t, "Commit after Close", writer.Commit(t.Context(), 0, ""), errdefs.ErrFailedPrecondition)
		if d := writer.Digest(); d != "" {
			t.Errorf("Digest after Close: %s", d)
		}
		if err := w.Abort(t.Context(), ref); err != nil {
			t.Error("Abort:", err)
		}
	}
	if all, err := w.ListStatuses(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("ListStatuses: %+v, %v", all, err)
	}
	if leases, err := w.under.Leases(t.Context()); len(leases) != 0 || err != nil {
		t.Errorf("leases are left: %+v, %v", leases, err)
	}
}

// TestRefused shows what is not written.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	_, err := w.Writer(t.Context())
	wantKind(t, "Writer without ref", err, errdefs.ErrInvalidArgument)
	_, err = w.Writer(t.Context(), content.WithRef("x"), content.WithDescriptor(ocispec.Descriptor{Digest: "sha256:../../x"}))
	wantKind(t, "Writer of a hostile digest", err, errdefs.ErrInvalidArgument)
	bad := w.src.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
	err = content.WriteBlob(t.Context(), w, "bad", bytes.NewReader(w.src.Get(bad.Digest)), bad)
	wantKind(t, "Commit of a bad manifest", err, errdefs.ErrInvalidArgument)
	writer, err := w.Writer(t.Context(), content.WithRef("x"))
	if err != nil {
		t.Fatal("Writer:", err)
	}
	if _, err := writer.Write([]byte("0123")); err != nil {
		t.Fatal("Write:", err)
	}
	wantKind(t, "Truncate to a part", writer.Truncate(2), errdefs.ErrNotImplemented)
	if err := writer.Truncate(4); err != nil {
		t.Error("Truncate to what there is:", err)
	}
	wantKind(t, "Commit with a hostile digest", writer.Commit(t.Context(), 0, "sha256:../../x"), errdefs.ErrInvalidArgument)
	ctx, cancel := context.WithCancel(t.Context())
	writer, err = w.Writer(ctx, content.WithRef("x"))
	if err != nil {
		t.Fatal("Writer:", err)
	}
	cancel()
	wantKind(t, "Commit when the context has ended", writer.Commit(ctx, 0, ""), context.Canceled)
	w.wantThere(t)
	if status, err := w.Status(t.Context(), "x"); err != nil || status.Offset != 4 {
		t.Errorf("Status after what was refused: %+v, %v", status, err)
	}
}

// TestOtherAlgorithm shows that content is known by the algorithm that is asked for.
func TestOtherAlgorithm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.src.Algorithm = digest.SHA512
	w.write(t, w.src.Put("a/b", []byte("by descriptor")))
	desc := w.src.Put("a/b", []byte("by Commit"))
	if err := content.WriteBlob(t.Context(), w, "x", bytes.NewReader(w.src.Get(desc.Digest)), ocispec.Descriptor{Digest: desc.Digest}); err != nil {
		t.Error("WriteBlob:", err)
	}
	w.wantThere(t, w.src.Digests()...)
}

// TestTogether shows that many may write the same content.
func TestTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	desc := w.src.Put("a/b", bytes.Repeat([]byte("x"), 100_000))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			// One ref: the others wait for it, and find the content there.
			if err := content.WriteBlob(t.Context(), w, "x", bytes.NewReader(w.src.Get(desc.Digest)), desc); err != nil {
				t.Error("WriteBlob:", err)
			}
		})
	}
	wg.Wait()
	w.wantThere(t, desc.Digest)
	got, err := content.ReadBlob(t.Context(), w, desc)
	if err != nil || !bytes.Equal(got, w.src.Get(desc.Digest)) {
		t.Errorf("ReadBlob: %d bytes, %v", len(got), err)
	}
}
