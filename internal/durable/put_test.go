package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testtree"
)

func TestPutSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, smallFile, smallFile + 1, writeBackWindow + 7} {
		for _, variant := range []string{"", "of unknown size", "from a file", "from a file of unknown size"} {
			t.Run(fmt.Sprint(size, variant), func(t *testing.T) {
				t.Parallel()
				w, dir := newWriter(t)
				data := testtree.Random(1, size)
				f, open := fileOf("a/b/file", data), reads(data)
				if strings.Contains(variant, "unknown") {
					f.Size = -1
				}
				if strings.Contains(variant, "file") {
					open = readsFile(t, data)
				}
				if err := w.Put(t.Context(), f, open); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "a/b/file")
				if small := size <= smallFile; w.Pending(f.Name) != small {
					t.Errorf("Pending = %v, want %v", !small, small)
				} else if small {
					wantNone(t, path)
				} else {
					wantFile(t, path, data)
				}
				if !w.Has(f.Name, f.Digest) {
					t.Error("Has = false after Put")
				}
				if err := w.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantFile(t, path, data)
			})
		}
	}
}

func TestPutAlgorithms(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	data := testtree.Random(2, 1000)
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		f := File{Name: alg.String(), Digest: alg.FromBytes(data), Size: 1000}
		if err := w.Put(t.Context(), f, reads(data)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		f.Digest = alg.FromString("other")
		if err := w.Put(t.Context(), f, reads(data)); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("%s of other bytes: %v", alg, err)
		}
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "sha512"), data)
}

func TestPutRefusesBytesThatDoNotMatch(t *testing.T) {
	t.Parallel()
	broken := errors.New("the cable was cut")
	for _, size := range []int{100, 2 * smallFile} {
		data := testtree.Random(3, size)
		other := slices.Clone(data)
		other[size/2] ^= 1
		for name, tc := range map[string]struct {
			src  io.Reader
			kind error
			text string
		}{
			"wrong bytes":  {bytes.NewReader(other), errdefs.ErrDataLoss, digest.FromBytes(other).String()},
			"short":        {bytes.NewReader(data[:size-1]), errdefs.ErrDataLoss, fmt.Sprintf("%d bytes, want %d", size-1, size)},
			"empty":        {bytes.NewReader(nil), errdefs.ErrDataLoss, fmt.Sprintf("0 bytes, want %d", size)},
			"long":         {bytes.NewReader(append(slices.Clone(data), 'x')), errdefs.ErrDataLoss, fmt.Sprintf("more than %d bytes", size)},
			"reader fails": {io.MultiReader(bytes.NewReader(data[:size/2]), iotest.ErrReader(broken)), broken, "the cable was cut"},
			"no progress":  {stuck{}, io.ErrNoProgress, ""},
		} {
			t.Run(fmt.Sprintf("%s of %d", name, size), func(t *testing.T) {
				t.Parallel()
				w, dir := newWriter(t)
				f := fileOf("file", data)
				err := w.Put(t.Context(), f, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(tc.src), nil })
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("Put: %v; want %v with %q", err, tc.kind, tc.text)
				}
				if left := leftovers(t, dir); len(left) > 0 || w.Pending("file") || w.Has("file", f.Digest) {
					t.Errorf("left behind: %q, pending %v", left, w.Pending("file"))
				}
				if err := w.Flush(t.Context()); err != nil {
					t.Errorf("Flush after a refused Put: %v", err)
				}
				wantNone(t, filepath.Join(dir, "file"))
				if err := w.Put(t.Context(), f, reads(data)); err != nil {
					t.Errorf("Put of the right bytes: %v", err)
				}
			})
		}
	}
}

func TestPutRefusesFilesThatDoNotMatch(t *testing.T) {
	t.Parallel()
	const size = writeBackWindow + 100
	data := testtree.Random(8, size)
	flipped := slices.Clone(data)
	flipped[0] ^= 1
	for name, src := range map[string][]byte{
		"wrong bytes": flipped, "short": data[:size-1], "empty": nil, "long": append(slices.Clone(data), 'x'),
		"much longer": append(slices.Clone(data), data...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir := newWriter(t)
			if err := w.Put(t.Context(), fileOf("file", data), readsFile(t, src)); !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("Put: %v", err)
			}
			if left := leftovers(t, dir); len(left) > 0 || w.Has("file", digest.FromBytes(data)) {
				t.Errorf("left behind: %q", left)
			}
			wantNone(t, filepath.Join(dir, "file"))
		})
	}
}

func TestPutOfAHugeSize(t *testing.T) {
	t.Parallel()
	data := testtree.Random(4, 100)
	for name, open := range map[string]func(context.Context) (io.ReadCloser, error){
		"from a stream": reads(data), "from a file": readsFile(t, data),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir := newWriter(t)
			f := fileOf("file", data)
			f.Size = math.MaxInt64
			if err := w.Put(t.Context(), f, open); !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("Put: %v; want data loss", err)
			}
			wantNone(t, filepath.Join(dir, "file"))
		})
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// counting counts what is read, and never ends.
type counting struct{ n int64 }

func (c *counting) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestPutReadsOneByteTooManyAtMost(t *testing.T) {
	t.Parallel()
	w, _ := newWriter(t)
	for _, size := range []int64{0, 1, chunkSize, smallFile + 3} {
		src := &counting{}
		f := File{Name: "file", Digest: digest.FromString("x"), Size: size}
		err := w.Put(t.Context(), f, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(src), nil })
		if !errors.Is(err, errdefs.ErrDataLoss) || src.n > size+1 {
			t.Errorf("size %d: read %d bytes, error %v", size, src.n, err)
		}
	}
}
