package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// TestHowArchivesCome reads one archive from everything that can hold it, and in every form.
func TestHowArchivesCome(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	plain := s.Docker110(t, "busybox:1").Pack(t)
	root := imagesOf(t, mustRead(t, plain, Docker))[0].Root
	for form, data := range map[string][]byte{
		"plain": plain, "gzip": testarchive.Gzip(t, plain), "zstd": testarchive.Zstd(t, plain),
		"gzip of two parts": append(testarchive.Gzip(t, plain[:700]), testarchive.Gzip(t, plain[700:])...),
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path, tmp := filepath.Join(dir, "a.tar"), t.TempDir()
			writeFile(t, path, append([]byte("before"), data...))
			offset, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer offset.Close()
			if _, err := offset.Seek(6, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			whole := filepath.Join(dir, "b.tar")
			writeFile(t, whole, data)
			opts := Options{TempDir: tmp}
			for from, open := range map[string]func() (*Reader, error){
				"a path":   func() (*Reader, error) { return Open(t.Context(), whole, Docker, opts) },
				"a stream": func() (*Reader, error) { return NewReader(t.Context(), bytes.NewBuffer(data), Docker, opts) },
				"byte by byte": func() (*Reader, error) {
					return NewReader(t.Context(), iotest.OneByteReader(bytes.NewReader(data)), Docker, opts)
				},
				"a file's later part": func() (*Reader, error) { return NewReader(t.Context(), offset, Docker, opts) },
				"a reader at": func() (*Reader, error) {
					return NewReaderAt(t.Context(), bytes.NewReader(data), int64(len(data)), Docker, opts)
				},
			} {
				r, err := open()
				if err != nil {
					t.Errorf("%s: %v", from, err)
					continue
				}
				if left := entriesOf(t, tmp); len(left) > 0 && runtime.GOOS != "windows" {
					t.Errorf("%s: the temporary file has the name %q", from, left)
				}
				im := imagesOf(t, r)[0]
				if im.Root.Digest != root.Digest {
					t.Errorf("%s: root %s, want %s", from, im.Root.Digest, root.Digest)
				}
				graph(t, im.Source())
				transporttest.Close(t, r)
				if left := entriesOf(t, tmp); len(left) > 0 {
					t.Errorf("%s: left behind: %q", from, left)
				}
			}
		})
	}
}

func TestBzip2(t *testing.T) {
	t.Parallel()
	r, err := Open(t.Context(), "testdata/docker16.tar.bz2", Docker, Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, r)
	if images := imagesOf(t, r); len(images) != 2 {
		t.Errorf("images: %+v", images)
	}
}

// TestStagingOfABrokenStream has the stream break off between two frames of zstd, or in what is
// not compressed, where what there is could be an archive.
func TestStagingOfABrokenStream(t *testing.T) {
	t.Parallel()
	plain := testarchive.NewImage(t, "one").Docker110(t, "busybox:1").Pack(t)
	for form, data := range map[string][]byte{"plain": plain, "zstd": testarchive.Zstd(t, plain)} {
		for _, broken := range []error{io.ErrUnexpectedEOF, fmt.Errorf("get: %w", io.EOF)} {
			from := io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken))
			if r, err := NewReader(t.Context(), from, Docker, Options{}); !errors.Is(err, broken) {
				t.Errorf("%s, %q: %v", form, broken, err)
				if err == nil {
					transporttest.Close(t, r)
				}
			}
		}
	}
}

func TestStagingRefuses(t *testing.T) {
	t.Parallel()
	plain := testarchive.NewImage(t, "one").Docker110(t, "busybox:1").Pack(t)
	bomb := testarchive.Gzip(t, make([]byte, 64<<20))
	for name, tc := range map[string]struct {
		data []byte
		kind error
		want string
	}{
		"B47 64 MiB of zeros in gzip":       {bomb, errdefs.ErrResourceExhausted, "more than 1048576 bytes"},
		"B48 zstd with a window of 2 GiB":   {[]byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), errdefs.ErrResourceExhausted, "memory"},
		"B48 skippable frames and no other": {bytes.Repeat([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"), 1000), errdefs.ErrInvalidArgument, "empty"},
		"B51 gzip that is cut off":          {testarchive.Gzip(t, plain)[:200], errdefs.ErrInvalidArgument, "cut off"},
		"B50 gzip and then something":       {append(testarchive.Gzip(t, plain), "x"...), errdefs.ErrInvalidArgument, "gzip"},
		"B51 gzip of another checksum":      {append(testarchive.Gzip(t, plain[:len(plain)-8]), testarchive.Gzip(t, nil)[:10]...), errdefs.ErrInvalidArgument, "gzip"},
		"B52 xz that is cut off":            {[]byte("\xfd7zXZ\x00rest"), errdefs.ErrInvalidArgument, "xz"},
		"gzip in gzip":                      {testarchive.Gzip(t, testarchive.Gzip(t, plain)), errdefs.ErrInvalidArgument, "entry 0"},
		"gzip of nothing":                   {testarchive.Gzip(t, nil), errdefs.ErrInvalidArgument, "empty"},
		"an archive that is too large":      {testarchive.Archive{{Name: "a", Data: strings.Repeat("x", 2<<20)}}.Pack(t), errdefs.ErrResourceExhausted, "1048576"},
		"nothing":                           {nil, errdefs.ErrInvalidArgument, "empty"},
		"text":                              {[]byte(strings.Repeat("no archive", 100)), errdefs.ErrInvalidArgument, "entry 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			r, err := NewReader(t.Context(), bytes.NewBuffer(tc.data), Docker, Options{TempDir: tmp, MaxStaged: 1 << 20})
			if !isKind(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, %v; want %v with %q", r, err, tc.kind, tc.want)
			}
			if left := entriesOf(t, tmp); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestStagingNeedsLittleMemory stages 64 MiB out of a few bytes.
func TestStagingNeedsLittleMemory(t *testing.T) { // not parallel: it looks at all memory
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range 64 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = NewReader(t.Context(), bytes.NewBuffer(buf.Bytes()), Docker, Options{TempDir: t.TempDir()})
	runtime.ReadMemStats(&after)
	if !errdefs.IsInvalidArgument(err) {
		t.Errorf("zeros are an archive: %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 48<<20 { // the race detector empties pools
		t.Errorf("%d bytes were allocated", grown)
	}
}

// TestStagingObeysItsContext reads from a stream that hangs.
func TestStagingObeysItsContext(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	hanging, end := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = end.Write(make([]byte, 1000)) // the pipe is closed at the end
		cancel()
	}()
	_, err := NewReader(ctx, hanging, Docker, Options{TempDir: tmp})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("NewReader: %v", err)
	}
	transporttest.Close(t, end)
	for deadline := time.Now().Add(time.Second); len(entriesOf(t, tmp)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the temporary file is still there")
		}
	}
}

func TestFilesThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string]error{dir: errdefs.ErrInvalidArgument, filepath.Join(dir, "nothing"): errdefs.ErrNotFound} {
		if _, err := Open(t.Context(), path, Docker, Options{}); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %v", path, err, want)
		}
	}
	if _, err := OpenSource(t.Context(), Reference{}, Options{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a reference without a path: %v", err)
	}
}

// TestOCIArchivesAreLayouts shows that an OCI archive is read as its layout says, whatever
// Docker's file says, and that others are not.
func TestOCIArchivesAreLayouts(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	odd := docker25(t, s, "busybox:1").Set(t, "manifest.json", "[]")
	if _, err := reader(t, odd.Pack(t), Docker, Options{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("as a Docker archive: %v", err)
	}
	images := imagesOf(t, mustRead(t, odd.Pack(t), OCI))
	if len(images) != 1 || len(images[0].Names) > 0 || len(images[0].RefNames) != 1 || images[0].RefNames[0] != "1" {
		t.Errorf("images: %+v", images)
	}
	for name, members := range map[string]testarchive.Archive{"docker-archive": s.Docker110(t, "busybox:1"), "no file oci-layout": docker19(s)} {
		if _, err := reader(t, members.Pack(t), OCI, Options{}); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want an invalid argument with %q", err, name)
		}
	}
}
