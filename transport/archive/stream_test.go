package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestBlobsThatAreNotRightInAStream(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64")})
	small, large := []byte("small"), bytes.Repeat([]byte("large"), 1<<20)
	for name, tc := range map[string]struct {
		data []byte
		from io.Reader
		open error
		lost bool // nothing can follow
	}{
		"a small one":          {data: small, from: bytes.NewReader([]byte("smell"))},
		"a large one":          {data: large, from: bytes.NewReader(append(bytes.Clone(large[1:]), 'x')), lost: true},
		"one that cannot open": {data: large, open: errdefs.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWritten(t, Docker, Options{}, s)
			w.add(t, root, "busybox")
			d, err := w.Image()
			if err != nil {
				t.Fatal(err)
			}
			desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(tc.data), Size: int64(len(tc.data))}
			open := func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(tc.from), tc.open }
			if tc.open != nil {
				open = func(context.Context, int64) (io.ReadCloser, error) { return nil, tc.open }
			}
			if _, err := d.Put(t.Context(), transport.Node{Desc: desc, Role: image.RoleLayer}, open); !errdefs.IsDataLoss(err) && !errdefs.IsNotFound(err) {
				t.Errorf("Put: %v", err)
			}
			_, err = d.Put(t.Context(), transport.Node{Desc: desc, Role: image.RoleLayer}, opens(bytes.NewReader(tc.data)))
			if (err != nil) != tc.lost {
				t.Errorf("Put of the right bytes: %v", err)
			}
			if err := w.Finish(t.Context()); (err != nil) != tc.lost {
				t.Errorf("Finish: %v", err)
			}
			if !tc.lost {
				graph(t, imagesOf(t, mustRead(t, w.buf.Bytes(), Docker))[0].Source())
				return
			}
			if r, err := reader(t, w.buf.Bytes(), Docker, Options{}); err == nil {
				t.Errorf("what went out is an archive: %+v", imagesOf(t, r))
			}
		})
	}
}

func TestFinishOfAStream(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	w := newWritten(t, OCI, Options{}, s)
	w.add(t, s.Image(testimage.Image{Platform: linux("amd64")}), "one")
	for range 2 {
		if err := w.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := w.buf.Len()
	closed := newWritten(t, OCI, Options{}, s)
	transporttest.Close(t, closed)
	if err := closed.Finish(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Finish after Close: %v", err)
	}
	d, err := w.Image("two")
	if err != nil {
		t.Fatal(err)
	}
	desc := s.Put(ocispec.MediaTypeImageLayer, []byte("more"))
	if _, err := d.Put(t.Context(), transport.Node{Desc: desc, Role: image.RoleLayer}, s.Opener(desc)); !errdefs.IsFailedPrecondition(err) || w.buf.Len() != before {
		t.Errorf("Put after the end: %v, %d bytes more", err, w.buf.Len()-before)
	}
	empty := newWritten(t, Docker, Options{}, s)
	if headers, contents := empty.finish(t); len(headers) != 3 || contents["manifest.json"] != "" {
		t.Errorf("an archive of nothing has %d entries, and %q", len(headers), contents["manifest.json"])
	}
	if images := imagesOf(t, mustRead(t, empty.buf.Bytes(), Docker)); len(images) > 0 {
		t.Errorf("images of an archive of nothing: %+v", images)
	}
}

// stuck is a writer that never returns.
type stuck struct{ begun chan struct{} }

func (s stuck) Write([]byte) (int, error) {
	close(s.begun)
	select {}
}

// TestWhoReadsTheStreamHasGone shows that a call returns when its context ends, though what it
// writes to hangs, and that all later ones do.
func TestWhoReadsTheStreamHasGone(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	desc := s.Put(ocispec.MediaTypeImageLayer, []byte("x"))
	to := stuck{make(chan struct{})}
	w, err := NewWriter(to, Docker, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.Image()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-to.begun
		cancel()
	}()
	if _, err := d.Put(ctx, transport.Node{Desc: desc, Role: image.RoleLayer}, s.Opener(desc)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.Finish(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Finish: %v", err)
	}
	transporttest.Close(t, w)
}

// TestPipe writes to a pipe and reads from it, by their paths.
func TestPipe(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64"), LayerSize: 3 << 20})
	path := filepath.Join(t.TempDir(), "pipe")
	if err := mkfifo(path); err != nil {
		t.Skip("no named pipes:", err)
	}
	read := make(chan error, 1)
	go func() {
		src, err := OpenSource(t.Context(), Reference{Path: path}, Options{})
		if err == nil {
			var desc ocispec.Descriptor
			if desc, err = src.Root(t.Context()); err == nil && desc.Digest != root.Digest {
				err = errors.New("another image")
			}
			err = errors.Join(err, verifyAll(t, src, root), src.Close())
		}
		read <- err
	}()
	d := openDestination(t, path)
	put(t, d, s, root)
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	if err := <-read; err != nil {
		t.Error("reading:", err)
	}
	if names := entriesOf(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("beside the pipe there are %q", names)
	}
}

// TestOpenOfAPipeThatNobodyWritesTo returns when its context ends.
func TestOpenOfAPipeThatNobodyWritesTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := mkfifo(path); err != nil {
		t.Skip("no named pipes:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, path, Docker, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open: %v", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // lets whoever waits go on
	if err != nil {
		t.Fatal(err)
	}
	transporttest.Close(t, f)
}
