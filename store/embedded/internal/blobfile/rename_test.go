package blobfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

func TestRename(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 200)
	for _, size := range []int{0, 10, 2 * Small} {
		for _, refs := range [][2]string{{"from", "to"}, {"from", long}, {long, "to"}, {long, long + "er"}} {
			t.Run(fmt.Sprintf("%d, %.8s to %.8s", size, refs[0], refs[1]), func(t *testing.T) {
				t.Parallel()
				d, dir := newDir(t)
				data := randomBytes(1, size+1)
				for _, ref := range refs { // both were kept before
					in := create(t, d, ref)
					if _, err := in.Write(data[:size]); err != nil {
						t.Fatal(err)
					}
					if err := in.Close(); err != nil {
						t.Fatal(err)
					}
				}
				in := create(t, d, refs[0])
				for range 2 {
					if err := in.Rename(t.Context(), refs[1]); err != nil {
						t.Fatal(err)
					}
				}
				if in.Ref() != refs[1] {
					t.Errorf("Ref is %q", in.Ref())
				}
				_, err := d.Create(t.Context(), refs[1], "")
				wantKind(t, "Create of the new ref", err, errdefs.ErrUnavailable)
				wantOffset(t, create(t, d, refs[0]), 0)
				if _, err := in.Write(data[size:]); err != nil {
					t.Fatal(err)
				}
				if err := in.Close(); err != nil {
					t.Fatal(err)
				}
				in = create(t, d, refs[1])
				if err := in.Verify(t.Context(), digest.FromBytes(data), int64(len(data))); err != nil {
					t.Fatal(err)
				}
				wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), nil)
				wantBlob(t, d, data)
				wantTree(t, filepath.Join(dir, ingestName))
			})
		}
	}
}

func TestRenameThatFails(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	data := randomBytes(2, 2*Small)
	in, other := create(t, d, "ref"), create(t, d, "other")
	if _, err := in.Write(data); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "to an open one", in.Rename(t.Context(), "other"), errdefs.ErrUnavailable)
	wantKind(t, "to none", in.Rename(t.Context(), ""), errdefs.ErrInvalidArgument)
	wantKind(t, "to a long one", in.Rename(t.Context(), strings.Repeat("x", MaxRef+1)), errdefs.ErrInvalidArgument)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("input/output error")
	renames := d.ops.rename
	d.ops.rename = func(*folder, string, *folder, string) error { return broken }
	wantKind(t, "on a bad disk", in.Rename(t.Context(), "other"), broken)
	d.ops.rename = renames
	if err := create(t, d, "other").Close(); err != nil { // it is free
		t.Fatal(err)
	}
	if in.Ref() != "ref" {
		t.Errorf("Ref is %q", in.Ref())
	}
	if err := in.Verify(t.Context(), digest.FromBytes(data), -1); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), nil)
	wantKind(t, "of one that has ended", in.Rename(t.Context(), "other"), fs.ErrClosed)
}

func TestOpenOfAnIngest(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	for _, size := range []int{0, 10, 2 * Small} {
		data := randomBytes(3, size)
		in := create(t, d, "ref")
		if _, err := in.Write(data); err != nil {
			t.Fatal(err)
		}
		_, err := in.Open(t.Context())
		wantKind(t, "Open before Verify", err, errdefs.ErrFailedPrecondition)
		if err := in.Verify(t.Context(), digest.FromBytes(data), -1); err != nil {
			t.Fatal(err)
		}
		r, err := in.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Abort(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes of %d, %v", len(got), size, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
