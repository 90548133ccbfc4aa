package storetest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// badBytes checks that bytes which do not match their descriptor never show, leave
// nothing, and that the right ones can still be put.
func (f Factory) badBytes(t *testing.T) {
	read := func(b ...[]byte) io.Reader { return bytes.NewReader(slices.Concat(b...)) }
	broken := iotest.ErrReader(errBroken)
	for name, tc := range map[string]struct {
		said int64 // what the descriptor's size is more than the right one
		src  func(right []byte) io.Reader
		want error
	}{
		"other bytes":            {0, flipped, errdefs.ErrDataLoss},
		"too few":                {0, func(b []byte) io.Reader { return read(b[1:]) }, errdefs.ErrDataLoss},
		"none":                   {0, func([]byte) io.Reader { return read() }, errdefs.ErrDataLoss},
		"too many":               {0, func(b []byte) io.Reader { return read(b, []byte{0}) }, errdefs.ErrDataLoss},
		"no end":                 {0, func(b []byte) io.Reader { return io.MultiReader(read(b), zeros{}) }, errdefs.ErrDataLoss},
		"size said is too large": {1, func(b []byte) io.Reader { return read(b) }, errdefs.ErrDataLoss},
		"size said is too small": {-1, func(b []byte) io.Reader { return read(b) }, errdefs.ErrDataLoss},
		"reader fails":           {0, func(b []byte) io.Reader { return io.MultiReader(read(b[:len(b)/2]), broken) }, errBroken},
		"reader fails at once":   {0, func([]byte) io.Reader { return broken }, errBroken},
	} {
		for size, n := range map[string]int{"small": small, "large": large} {
			t.Run(name+", "+size, func(t *testing.T) {
				right := bytes.Repeat([]byte("Dhow"), n/4)
				desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(right), Size: int64(n) + tc.said}
				w := f.world(t)
				w.refused(t, desc, image.RoleLayer, tc.src(right), tc.want)
				desc = w.src.Put(desc.MediaType, right)
				b := w.begin(t, w.lease(t))
				if put := b.put(t, desc, image.RoleLayer); put != store.Written {
					t.Errorf("Put of the right bytes: %s, want %s", put, store.Written)
				}
				b.publish(t)
				w.wantBlob(t, desc.Digest)
			})
		}
	}
}

func flipped(right []byte) io.Reader {
	data := slices.Clone(right)
	data[len(data)/2] ^= 1
	return bytes.NewReader(data)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// refused puts bytes that must be refused.
func (w *world) refused(t *testing.T, desc ocispec.Descriptor, role image.Role, src io.Reader, want error) {
	t.Helper()
	b := w.begin(t, w.lease(t))
	_, err := b.Put(t.Context(), desc, role, func(context.Context, int64) (io.ReadCloser, error) { return w.src.count(src), nil })
	wantKind(t, "Put", err, want)
	b.publish(t)
	w.wantAbsent(t, desc.Digest)
	b.close(t)
	if want != errBroken { //nolint:errorlint // it is the one that was given
		w.wantPartial(t)
	}
}

// openerFails checks that the error of an opener comes back with its kind.
func (f Factory) openerFails(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("x"), Size: 1}
	for _, want := range []error{errdefs.ErrNotFound, errBroken} {
		_, err := b.Put(t.Context(), desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) { return nil, want })
		wantKind(t, "Put", err, want)
	}
	if put, err := b.Put(t.Context(), desc, image.RoleLayer, w.src.of([]byte("x"))); put != store.Written || err != nil {
		t.Errorf("Put after the opener has failed: %q, %v", put, err)
	}
}

// resume checks that bytes which have come are not asked for again: by the same
// batch, another one, and when the store was opened again.
func (f Factory) resume(t *testing.T) {
	w := f.world(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), large/8)
	desc := w.src.Put(ocispec.MediaTypeImageLayerGzip, data)
	b := w.begin(t, w.lease(t))
	var had int64
	for i, next := range []func(){
		func() {},
		func() { b.close(t); b = w.begin(t, w.lease(t)) },
		func() { w.reopen(t); b = w.begin(t, w.lease(t)) },
	} {
		end := len(data) * (i + 1) / 4
		_, err := b.Put(t.Context(), desc, image.RoleLayer, func(_ context.Context, from int64) (io.ReadCloser, error) {
			if from < had || i > 0 && from == 0 || from > int64(end) {
				t.Errorf("Put %d asks for the bytes from %d on; it had %d", i, from, had)
			}
			had = from
			return w.src.count(io.MultiReader(bytes.NewReader(data[from:end]), iotest.ErrReader(errBroken))), nil
		})
		wantKind(t, "Put of a part", err, errBroken)
		w.wantAbsent(t, desc.Digest)
		next()
		if partial, err := w.Partial(t.Context()); err != nil || len(partial) != 1 || partial[0].Ref != string(desc.Digest) || partial[0].Offset <= had || partial[0].Offset > int64(end) {
			t.Errorf("Partial after %d bytes: %+v, %v", end, partial, err)
		}
	}
	if put := b.put(t, desc, image.RoleLayer); put != store.Written {
		t.Errorf("Put of the rest: %s, want %s", put, store.Written)
	}
	if from := w.src.from.Load(); from <= had {
		t.Errorf("the last Put asked for the bytes from %d on; it had more than %d", from, had)
	}
	b.publish(t)
	w.wantBlob(t, desc.Digest)
	w.wantPartial(t)
}

// resumeWrong checks that a part which was wrong is found, and does not stand in the
// way of the right bytes.
func (f Factory) resumeWrong(t *testing.T) {
	w := f.world(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), large/16)
	desc := w.src.Put(ocispec.MediaTypeImageLayerGzip, data)
	b := w.begin(t, w.lease(t))
	_, err := b.Put(t.Context(), desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) {
		return w.src.count(io.MultiReader(bytes.NewReader(make([]byte, len(data)/2)), iotest.ErrReader(errBroken))), nil
	})
	wantKind(t, "Put of a wrong part", err, errBroken)
	b.close(t)
	b = w.begin(t, w.lease(t))
	if _, err = b.Put(t.Context(), desc, image.RoleLayer, w.src.opener(desc)); err != nil { // else it has begun anew by itself
		wantKind(t, "Put of the rest", err, errdefs.ErrDataLoss)
		w.wantPartial(t)
		b.put(t, desc, image.RoleLayer)
	}
	b.publish(t)
	w.wantBlob(t, desc.Digest)
}

// completeKept checks that complete blobs of a closed batch are not asked for again.
func (f Factory) completeKept(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	descs := []ocispec.Descriptor{b.blob(t, bytes.Repeat([]byte("a"), small)), b.blob(t, bytes.Repeat([]byte("b"), large))}
	b.close(t)
	w.reopen(t)
	before := w.src.read.Load()
	b = w.begin(t, w.lease(t))
	for _, desc := range descs {
		b.put(t, desc, image.RoleLayer)
	}
	if n := w.src.read.Load() - before; n != 0 {
		t.Errorf("%d bytes were read again", n)
	}
	w.wantBlobs(t)
	b.publish(t)
	for _, desc := range descs {
		w.wantBlob(t, desc.Digest)
	}
	w.wantPartial(t)
}

// publishRefused checks that a Publish whose names do not move shows no blob either,
// and that it can be repeated with other names.
func (f Factory) publishRefused(t *testing.T) {
	skipIf(t, f.Cannot.Together)
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64(), LayerSize: large})
	b := w.begin(t, w.lease(t))
	b.image(t, root)
	for what, m := range map[string]store.Move{
		"a condition that does not hold": {Name: busybox, To: target(root), If: store.Condition{Digest: root.Digest}},
		"a name that is not valid":       {Name: "BusyBox", To: target(root)},
		"a target that is absent":        {Name: busybox, To: target(w.src.Index(root))},
	} {
		if _, err := b.Publish(t.Context(), store.Move{Name: alpine, To: target(root)}, m); err == nil {
			t.Errorf("Publish with %s: no error", what)
		}
		w.wantBlobs(t)
		w.wantNames(t, map[string]digest.Digest{})
	}
	b.publish(t, store.Move{Name: busybox, To: target(root)})
	w.wantImage(t, root)
	w.wantNames(t, map[string]digest.Digest{busybox: root.Digest})
}
