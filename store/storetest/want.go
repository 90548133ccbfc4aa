package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// wantKind checks the kind of an error.
func wantKind(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v; want %v", what, err, want)
	}
}

// readAll reads a blob of the store from an offset on.
func readAll(ctx context.Context, s store.Blobs, d digest.Digest, from int64) ([]byte, error) {
	r, err := s.Open(ctx, d, from)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// visible returns the digests of all blobs of the store, in the order of Walk.
func (w *world) visible(t *testing.T) []digest.Digest {
	t.Helper()
	found := []digest.Digest{}
	err := w.Walk(t.Context(), "", func(b store.Blob) error {
		found = append(found, b.Digest)
		return nil
	})
	if err != nil {
		t.Fatal("Walk:", err)
	}
	return found
}

// wantBlobs checks that exactly these blobs are visible.
func (w *world) wantBlobs(t *testing.T, digests ...digest.Digest) {
	t.Helper()
	want := slices.Clone(digests)
	slices.Sort(want)
	want = slices.Compact(want)
	if diff := cmp.Diff(append([]digest.Digest{}, want...), w.visible(t)); diff != "" {
		t.Errorf("visible blobs, - wanted + there:\n%s", diff)
	}
}

// wantBlob checks that a blob is visible with the source's bytes.
func (w *world) wantBlob(t *testing.T, d digest.Digest) {
	t.Helper()
	want := w.src.Get(d)
	b, err := w.Stat(t.Context(), d)
	switch {
	case err != nil:
		t.Errorf("Stat of %s: %v", d, err)
	case b.Digest != d || b.Size != int64(len(want)) || b.Created.IsZero():
		t.Errorf("Stat of %s: %+v; want %d bytes", d, b, len(want))
	}
	if data, err := readAll(t.Context(), w, d, 0); err != nil {
		t.Errorf("Open of %s: %v", d, err)
	} else if !bytes.Equal(data, want) {
		t.Errorf("Open of %s: %d other bytes than the %d that were put", d, len(data), len(want))
	}
}

// wantImage checks that a graph is visible as far as the source has it.
func (w *world) wantImage(t *testing.T, root ocispec.Descriptor) {
	t.Helper()
	for _, n := range w.src.nodes(t, root) {
		w.wantBlob(t, n.Desc.Digest)
	}
}

// wantAbsent checks that no call finds a blob.
func (w *world) wantAbsent(t *testing.T, d digest.Digest) {
	t.Helper()
	_, err := w.Stat(t.Context(), d)
	wantKind(t, "Stat of "+d.String(), err, errdefs.ErrNotFound)
	_, err = readAll(t.Context(), w, d, 0)
	wantKind(t, "Open of "+d.String(), err, errdefs.ErrNotFound)
	if r, err := w.OpenAt(t.Context(), d); err == nil {
		t.Errorf("OpenAt of %s: no error; want %v", d, errdefs.ErrNotFound)
		_ = r.Close()
	} else {
		wantKind(t, "OpenAt of "+d.String(), err, errdefs.ErrNotFound)
	}
	_, err = w.Facts(t.Context(), d)
	wantKind(t, "Facts of "+d.String(), err, errdefs.ErrNotFound)
	w.view(t, func(r store.NameReader) {
		_, err := r.Blob(d)
		wantKind(t, "Blob of "+d.String(), err, errdefs.ErrNotFound)
		_, err = r.Facts(d)
		wantKind(t, "Facts in a View of "+d.String(), err, errdefs.ErrNotFound)
	})
	if slices.Contains(w.visible(t), d) {
		t.Errorf("Walk finds %s", d)
	}
}

// wantPartial checks which refs have partial blobs.
func (w *world) wantPartial(t *testing.T, refs ...string) []store.Partial {
	t.Helper()
	partial, err := w.Partial(t.Context())
	if err != nil {
		t.Fatal("Partial:", err)
	}
	found := []string{}
	for _, p := range partial {
		found = append(found, p.Ref)
	}
	slices.Sort(found)
	want := append([]string{}, refs...)
	slices.Sort(want)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("refs of partial blobs, - wanted + there:\n%s", diff)
	}
	return partial
}

// view looks at the names.
func (w *world) view(t *testing.T, f func(r store.NameReader)) {
	t.Helper()
	if err := w.View(t.Context(), func(r store.NameReader) error { f(r); return nil }); err != nil {
		t.Error("View:", err)
	}
}

// records returns all records by their keys, in order.
func (w *world) records(t *testing.T) []store.Record {
	t.Helper()
	var all []store.Record
	w.view(t, func(r store.NameReader) {
		var err error
		if all, err = r.List("", 0); err != nil {
			t.Error("List:", err)
		}
	})
	return all
}

// wantNames checks what there is: pairs of a name, or the Key of a dangling record,
// and the digest that it points at.
func (w *world) wantNames(t *testing.T, want map[string]digest.Digest) {
	t.Helper()
	found := map[string]digest.Digest{}
	for _, r := range w.records(t) {
		found[r.Key()] = r.Target.Digest
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("names, - wanted + there:\n%s", diff)
	}
}

// record returns the record of a name, or fails.
func (w *world) record(t *testing.T, name string) (rec store.Record) {
	t.Helper()
	w.view(t, func(r store.NameReader) {
		var err error
		if rec, err = r.Get(name); err != nil {
			t.Errorf("Get of %s: %v", name, err)
		}
	})
	return rec
}
