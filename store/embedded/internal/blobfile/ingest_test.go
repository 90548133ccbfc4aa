package blobfile

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

func TestSmallContentTouchesNoFile(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(1, Small)
	in := filled(t, d, data)
	got, ok := in.Bytes()
	if !ok || !bytes.Equal(got, data) {
		t.Errorf("Bytes: %d bytes, %v; want %d", len(got), ok, len(data))
	}
	if blob, size := in.Content(); blob != digest.FromBytes(data) || size != Small {
		t.Errorf("Content: %s, %d", blob, size)
	}
	wantTree(t, dir)
	if err := in.Abort(); err != nil {
		t.Error(err)
	}
	wantTree(t, dir)
	if got, ok := in.Bytes(); !ok || !bytes.Equal(got, data) {
		t.Error("Bytes are gone after Abort")
	}
}

func TestLargeContentIsInAFile(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(2, Small+1)
	in := create(t, d, "ref")
	from := 0
	for _, to := range []int{10, Small, Small + 1} {
		if n, err := in.Write(data[from:to]); n != to-from || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
		wantOffset(t, in, int64(to))
		from = to
	}
	wantTree(t, dir, "ingest/r-ref")
	for _, a := range []digest.Algorithm{"", digest.SHA256, digest.SHA384, digest.SHA512} {
		want := digest.FromBytes(data)
		if a != "" {
			want = a.FromBytes(data)
		}
		if got, err := in.Digest(t.Context(), a); got != want || err != nil {
			t.Errorf("Digest by %q: %s, %v; want %s", a, got, err, want)
		}
	}
	if _, ok := in.Bytes(); ok {
		t.Error("Bytes of what was not verified")
	}
	if err := in.Verify(t.Context(), digest.SHA512.FromBytes(data), -1); err != nil {
		t.Error(err)
	}
	if _, ok := in.Bytes(); ok {
		t.Error("Bytes of large content")
	}
	if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
		t.Fatal(err)
	}
	hex := digest.SHA512.FromBytes(data).Encoded()
	wantTree(t, dir, "blobs/sha512/"+hex[:2]+"/"+hex)
}

func wantOffset(t *testing.T, in *Ingest, want int64) {
	t.Helper()
	if got := in.Offset(); got != want {
		t.Errorf("Offset is %d, want %d", got, want)
	}
}

func TestVerifyOfWrongContentRemovesIt(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 10, "large": 2 * Small} {
		data := randomBytes(3, size)
		for what, want := range map[string]struct {
			blob digest.Digest
			size int64
		}{
			"other digest": {digest.FromString("other"), int64(size)},
			"other size":   {digest.FromBytes(data), int64(size) + 1},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				d, dir := newDir(t)
				in := create(t, d, "ref")
				if _, err := in.Write(data); err != nil {
					t.Fatal(err)
				}
				wantKind(t, "Verify", in.Verify(t.Context(), want.blob, want.size), errdefs.ErrDataLoss)
				wantTree(t, dir)
				_, err := in.Write(data)
				wantKind(t, "Write after it", err, fs.ErrClosed)
				wantKind(t, "Close", in.Close(), nil)
				again := create(t, d, "ref") // the ref is free
				wantOffset(t, again, 0)
			})
		}
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 10, "large": 2 * Small} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDir(t)
			in := filled(t, d, randomBytes(4, size))
			if err := in.Reset(); err != nil {
				t.Fatal(err)
			}
			wantTree(t, dir)
			wantOffset(t, in, 0)
			wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), errdefs.ErrFailedPrecondition)
			data := randomBytes(5, size)
			if _, err := in.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := in.Verify(t.Context(), digest.FromBytes(data), int64(size)); err != nil {
				t.Error(err)
			}
			if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
				t.Error(err)
			}
			wantBlob(t, d, data)
		})
	}
}

func TestOneIngestARef(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	in := create(t, d, "ref")
	_, err := d.Create(t.Context(), "ref", "")
	wantKind(t, "Create of an open ref", err, errdefs.ErrUnavailable)
	wantKind(t, "Abort of an open ref", d.Abort(t.Context(), "ref"), errdefs.ErrUnavailable)
	other := create(t, d, "other")
	for _, in := range []*Ingest{in, other} {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	create(t, d, "ref")
}

func TestArgumentsOfCreate(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	for _, row := range []struct {
		name, ref string
		algorithm digest.Algorithm
		want      error
	}{
		{"no ref", "", "", errdefs.ErrInvalidArgument},
		{"longest ref", strings.Repeat("x", MaxRef), "", nil},
		{"longer ref", strings.Repeat("x", MaxRef+1), "", errdefs.ErrInvalidArgument},
		{"ref like a path", "../../../etc/passwd", "", nil},
		{"ref of any bytes", "\x00\n\xff sum \"", "", nil},
		{"md5", "ref", "md5", errdefs.ErrNotImplemented},
		{"hostile algorithm", "ref", "../..", errdefs.ErrNotImplemented},
		{"sha512", "ref", digest.SHA512, nil},
	} {
		in, err := d.Create(t.Context(), row.ref, row.algorithm)
		wantKind(t, row.name, err, row.want)
		if err != nil {
			continue
		}
		if in.Ref() != row.ref {
			t.Errorf("%s: Ref is %q", row.name, in.Ref())
		}
		if _, err := in.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		wantTree(t, dir, "ingest/"+nameOf(row.ref), "ingest/"+nameOf(row.ref)+".ref")
		partial, err := d.Partial(t.Context())
		if err != nil || len(partial) != 1 || partial[0].Ref != row.ref {
			t.Errorf("%s: Partial is %+v, %v", row.name, partial, err)
		}
		if err := d.Abort(t.Context(), row.ref); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		wantTree(t, dir)
	}
}

func TestUseAfterTheEnd(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	in := filled(t, d, []byte("data"))
	if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
		t.Fatal(err)
	}
	_, err := in.Write([]byte("more"))
	wantKind(t, "Write", err, fs.ErrClosed)
	wantKind(t, "Reset", in.Reset(), fs.ErrClosed)
	wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), fs.ErrClosed)
	wantKind(t, "Fill", in.Fill(t.Context(), digest.FromString("x"), 1, opens([]byte("x"))), fs.ErrClosed)
	wantKind(t, "Abort", in.Abort(), nil)
	wantKind(t, "Close", in.Close(), nil)
	wantBlob(t, d, []byte("data"))

	late := create(t, d, "late")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = late.Write([]byte("x"))
	wantKind(t, "Write to a closed Dir", err, fs.ErrClosed)
	wantKind(t, "Close in a closed Dir", late.Close(), fs.ErrClosed)
	_, err = d.Create(context.Background(), "ref", "")
	wantKind(t, "Create in a closed Dir", err, fs.ErrClosed)
	wantKind(t, "Close", d.Close(), nil)
	openDir(t, dir)
}
