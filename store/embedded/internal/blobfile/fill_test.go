package blobfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// sizes are around all bounds.
var sizes = []int{0, 1, Small - 1, Small, Small + 1, hashChunk, 256<<10 + 1, writeBackWindow - 1, writeBackWindow, writeBackWindow + 1}

func TestFill(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		data := randomBytes(1, size)
		blob := digest.FromBytes(data)
		for name, open := range map[string]Opener{"stream": opens(data), "file": opensFile(t, data)} {
			for _, want := range []int64{int64(size), -1} {
				t.Run(fmt.Sprintf("%s of %d as %d", name, size, want), func(t *testing.T) {
					t.Parallel()
					d, _ := newDir(t)
					d.shares = true // if only to have the kernel copy
					in := create(t, d, "ref")
					if err := in.Fill(t.Context(), blob, want, open); err != nil {
						t.Fatal(err)
					}
					wantOffset(t, in, int64(size))
					if got, ok := in.Bytes(); ok != (size <= Small) || ok && !bytes.Equal(got, data) {
						t.Errorf("Bytes: %d of %d, %v", len(got), size, ok)
					}
					if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
						t.Fatal(err)
					}
					wantBlob(t, d, data)
				})
			}
		}
	}
}

func TestFillByOtherAlgorithms(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	data := randomBytes(2, 3*Small)
	for _, a := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
		in := create(t, d, "ref") // which expects sha256
		if err := in.Fill(t.Context(), a.FromBytes(data), -1, opens(data)); err != nil {
			t.Fatal(err)
		}
		if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, "Verify", d.Verify(t.Context(), a.FromBytes(data), int64(len(data))), nil)
	}
	in := create(t, d, "ref")
	wantKind(t, "hostile digest", in.Fill(t.Context(), "sha256:../../etc/passwd", -1, opens(data)), errdefs.ErrInvalidArgument)
	wantKind(t, "unknown digest", in.Fill(t.Context(), "md5:0123", -1, opens(data)), errdefs.ErrNotImplemented)
}

func TestFillOfWrongContentLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, Small, 3 * Small, writeBackWindow + 10} {
		data := randomBytes(3, size)
		flipped := bytes.Clone(data)
		flipped[size/2] ^= 1
		for name, served := range map[string][]byte{
			"a flipped bit": flipped, "one byte short": data[:size-1], "one byte long": append(data[:size:size], 0),
			"much longer": append(data[:size:size], make([]byte, 1<<20)...), "nothing": nil,
		} {
			for kind, open := range map[string]Opener{"stream": opens(served), "file": opensFile(t, served)} {
				t.Run(fmt.Sprintf("%s of %d, %s", name, size, kind), func(t *testing.T) {
					t.Parallel()
					d, dir := newDir(t)
					d.shares = true
					in := create(t, d, "ref")
					err := in.Fill(t.Context(), digest.FromBytes(data), int64(size), open)
					wantKind(t, "Fill", err, errdefs.ErrDataLoss)
					wantTree(t, dir)
					wantOffset(t, create(t, d, "ref"), 0)
				})
			}
		}
	}
}

func TestFillStopsAtTheSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{10, Small, 3 * Small} {
		d, _ := newDir(t)
		var endless counter
		err := create(t, d, "ref").Fill(t.Context(), digest.FromString("x"), size,
			func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(&endless), nil })
		wantKind(t, "Fill", err, errdefs.ErrDataLoss)
		if endless.n > size+1 {
			t.Errorf("%d bytes were read of content of %d", endless.n, size)
		}
	}
}

// counter is an endless source.
type counter struct{ n int64 }

func (c *counter) Read(p []byte) (int, error) {
	clear(p)
	c.n += int64(len(p))
	return len(p), nil
}

func TestFillKeepsWhatItHasReadBeforeAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, size := range []int{100, Small + 100, 1 << 20, writeBackWindow + 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			d, dir := newDir(t)
			data := randomBytes(4, size)
			blob := digest.FromBytes(data)
			cut := size - 50
			in := create(t, d, "ref")
			err := in.Fill(t.Context(), blob, int64(size), func(context.Context, int64) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(data[:cut]), iotest.ErrReader(broken))), nil
			})
			wantKind(t, "Fill", err, broken)
			wantOffset(t, in, int64(cut))

			// In the same Ingest, after another failure.
			wantKind(t, "second Fill", in.Fill(t.Context(), blob, int64(size), func(_ context.Context, from int64) (io.ReadCloser, error) {
				if from != int64(cut) {
					t.Errorf("opened at %d, want %d", from, cut)
				}
				return nil, broken
			}), broken)
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}

			// And in another process.
			d = openDir(t, dir)
			in = create(t, d, "ref")
			wantOffset(t, in, int64(cut))
			if err := in.Fill(t.Context(), blob, int64(size), opens(data)); err != nil {
				t.Fatal(err)
			}
			if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
				t.Fatal(err)
			}
			wantBlob(t, d, data)
			wantKind(t, "Abort", d.Abort(t.Context(), "ref"), errdefs.ErrNotFound)
		})
	}
}

func TestFillOfWhatIsCompleteOpensNothing(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	data := randomBytes(5, 2*Small)
	in := filled(t, d, data)
	ref := in.Ref()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	in = create(t, d, ref)
	err := in.Fill(t.Context(), digest.FromBytes(data), int64(len(data)), func(context.Context, int64) (io.ReadCloser, error) {
		return nil, errors.New("opened")
	})
	wantKind(t, "Fill", err, nil)
}

func TestFillBeginsAnewIfWhatWasThereIsWrong(t *testing.T) {
	t.Parallel()
	data := randomBytes(6, 3*Small)
	for name, there := range map[string][]byte{
		"small and wrong": []byte("something else"),
		"large and wrong": randomBytes(7, 2*Small),
		"as long":         randomBytes(8, len(data)),
		"longer":          randomBytes(9, len(data)+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := newDir(t)
			in := create(t, d, "ref")
			if _, err := in.Write(there); err != nil {
				t.Fatal(err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			in = create(t, d, "ref")
			if err := in.Fill(t.Context(), digest.FromBytes(data), int64(len(data)), opens(data)); err != nil {
				t.Fatal(err)
			}
			if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
				t.Fatal(err)
			}
			wantBlob(t, d, data)
		})
	}
}

func TestFillClosesItsReader(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	data := randomBytes(10, 2*Small)
	c := &closing{Reader: bytes.NewReader(data), err: errors.New("close failed")}
	err := create(t, d, "ref").Fill(t.Context(), digest.FromBytes(data), -1,
		func(context.Context, int64) (io.ReadCloser, error) { return c, nil })
	wantKind(t, "Fill", err, c.err)
	if c.closed != 1 {
		t.Errorf("closed %d times", c.closed)
	}
}

type closing struct {
	io.Reader
	closed int
	err    error
}

func (c *closing) Close() error {
	c.closed++
	return c.err
}
