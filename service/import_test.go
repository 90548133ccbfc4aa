package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/service"
)

func importClock() time.Time { return time.Date(2024, 5, 6, 7, 8, 9, 0, time.FixedZone("", 3600)) }

// rootFS is an archive with names that nobody should unpack: here they are data.
func rootFS(tb testing.TB) []byte {
	tb.Helper()
	return testarchive.Archive{
		{Name: "bin/sh", Data: "#!"}, {Name: "../../etc/passwd", Data: "x"}, {Name: "/abs", Kind: '2', Link: "/etc"},
		{Name: "dev/null", Kind: '3'}, {Name: strings.Repeat("long/", 100), Kind: '5'},
	}.Pack(tb)
}

// TestImport checks what is made of an archive.
func TestImport(t *testing.T) {
	t.Parallel()
	plain := rootFS(t)
	for name, tc := range map[string]struct {
		data      []byte
		mediaType string
		same      bool // the layer is what was given
	}{
		"plain":                   {plain, ocispec.MediaTypeImageLayerGzip, false},
		"gzip":                    {testarchive.Gzip(t, plain), ocispec.MediaTypeImageLayerGzip, true},
		"gzip of two members":     {append(testarchive.Gzip(t, plain[:700]), testarchive.Gzip(t, plain[700:])...), ocispec.MediaTypeImageLayerGzip, true},
		"zstd":                    {testarchive.Zstd(t, plain), ocispec.MediaTypeImageLayerZstd, true},
		"xz":                      {testarchive.Xz(t, plain), ocispec.MediaTypeImageLayerGzip, false},
		"bytes behind the end":    {append(bytes.Clone(plain), make([]byte, 10240)...), ocispec.MediaTypeImageLayerGzip, false},
		"an archive with nothing": {testarchive.Archive{}.Pack(t), ocispec.MediaTypeImageLayerGzip, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, service.Options{Clock: importClock})
			p := parsePlatform(t, "linux/arm64/v8")
			opts := service.ImportOptions{Name: "app", Platform: &p, Changes: []string{"ENV A=1", `CMD ["/bin/sh"]`, "LABEL a=b"}}
			done, err := f.Import(t.Context(), iotest.OneByteReader(bytes.NewReader(tc.data)), opts)
			if err != nil {
				t.Fatal(err)
			}
			layer := f.read(t, done.Layer.Digest)
			if done.Layer.MediaType != tc.mediaType || bytes.Equal(layer, tc.data) != tc.same {
				t.Errorf("layer of type %s, as given: %v", done.Layer.MediaType, !tc.same)
			}
			if !strings.HasPrefix(name, "bytes") && !strings.HasPrefix(name, "an") && done.DiffID != digest.FromBytes(plain) {
				t.Errorf("diff ID %s", done.DiffID)
			}
			img, err := f.Get(t.Context(), "app", service.GetOptions{Platform: &p})
			if err != nil {
				t.Fatal(err)
			}
			var config map[string]any
			if err := json.Unmarshal(img.Config, &config); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"created": "2024-05-06T06:08:09Z", "architecture": "arm64", "os": "linux", "variant": "v8",
				"config":  map[string]any{"Env": []any{"A=1"}, "Cmd": []any{"/bin/sh"}, "Labels": map[string]any{"a": "b"}},
				"rootfs":  map[string]any{"type": "layers", "diff_ids": []any{string(done.DiffID)}},
				"history": []any{map[string]any{"created": "2024-05-06T06:08:09Z", "comment": "Imported from -"}},
			}
			if diff := cmp.Diff(want, config); diff != "" {
				t.Error("config (-want +got):\n", diff)
			}
			again, err := newFixture(t, service.Options{Clock: importClock}).Import(t.Context(), bytes.NewReader(tc.data), opts)
			if err != nil || again.Target.Digest != done.Target.Digest {
				t.Errorf("again: %s, %v; want %s", again.Target.Digest, err, done.Target.Digest)
			}
			f.wantNoLease(t)
			if partial, err := f.store.Partial(t.Context()); err != nil || len(partial) > 0 {
				t.Errorf("partial blobs are left: %+v, %v", partial, err)
			}
		})
	}
}

// read returns the bytes of a blob.
func (f *fixture) read(tb testing.TB, d digest.Digest) []byte {
	tb.Helper()
	r, err := f.store.Open(tb.Context(), d, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// TestImportNames checks what becomes of names.
func TestImportNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{Clock: importClock})
	old := f.image(t, "linux/amd64", "old")
	f.put(t, old, "app:1")
	done, err := f.Import(t.Context(), bytes.NewReader(rootFS(t)), service.ImportOptions{Name: "app:1", Message: "mine"})
	if err != nil || !done.Dangling || done.Before.Target.Digest != old.Digest || done.Name != "docker.io/library/app:1" {
		t.Errorf("Import: %+v, %v", done, err)
	}
	nameless, err := f.Import(t.Context(), bytes.NewReader(testarchive.Gzip(t, rootFS(t))), service.ImportOptions{})
	if err != nil || nameless.Name != "" {
		t.Errorf("Import: %+v, %v", nameless, err)
	}
	want := map[string]digest.Digest{
		"docker.io/library/app:1": done.Target.Digest, "@" + string(old.Digest): old.Digest, "@" + string(nameless.Target.Digest): nameless.Target.Digest,
	}
	if diff := cmp.Diff(want, f.targets(t)); diff != "" {
		t.Error("records (-want +got):\n", diff)
	}
}

// TestImportBroken checks that what cannot be imported leaves nothing behind.
func TestImportBroken(t *testing.T) {
	t.Parallel()
	plain, boom := rootFS(t), errors.New("boom")
	packed := testarchive.Gzip(t, plain)
	badPlatform := ocispec.Platform{OS: "linux"}
	for name, tc := range map[string]struct {
		r    io.Reader
		opts service.ImportOptions
		kind func(error) bool
		text string
	}{
		"nothing":            {strings.NewReader(""), service.ImportOptions{}, errdefs.IsInvalidArgument, "empty"},
		"no archive":         {strings.NewReader(strings.Repeat("garbage ", 200)), service.ImportOptions{}, errdefs.IsInvalidArgument, "no tar archive"},
		"a few bytes":        {strings.NewReader("x"), service.ImportOptions{}, errdefs.IsInvalidArgument, "no tar archive"},
		"cut off":            {bytes.NewReader(plain[:514]), service.ImportOptions{}, errdefs.IsInvalidArgument, "cut off"},
		"gzip, cut off":      {bytes.NewReader(packed[:len(packed)-4]), service.ImportOptions{}, errdefs.IsInvalidArgument, "cut off"},
		"gzip, then garbage": {io.MultiReader(bytes.NewReader(packed), strings.NewReader(strings.Repeat("garbage", 2))), service.ImportOptions{}, errdefs.IsInvalidArgument, "gzip"},
		"gzip of no archive": {bytes.NewReader(testarchive.Gzip(t, make([]byte, 100))), service.ImportOptions{}, errdefs.IsInvalidArgument, "no tar archive"},
		"xz":                 {strings.NewReader("\xfd7zXZ\x00..."), service.ImportOptions{}, errdefs.IsInvalidArgument, "xz"},
		"too large":          {bytes.NewReader(plain), service.ImportOptions{MaxSize: 1000}, errdefs.IsResourceExhausted, "more than 1000 bytes"},
		"gzip of what is":    {bytes.NewReader(testarchive.Gzip(t, make([]byte, 1<<20))), service.ImportOptions{MaxSize: 1 << 16}, errdefs.IsResourceExhausted, "more than"},
		"the stream fails":   {io.MultiReader(bytes.NewReader(plain[:1000]), iotest.ErrReader(boom)), service.ImportOptions{}, func(err error) bool { return errors.Is(err, boom) }, ""},
		"a digest":           {bytes.NewReader(plain), service.ImportOptions{Name: "app@" + digest.FromString("x").String()}, errdefs.IsInvalidArgument, "cannot import digest reference"},
		"no name":            {bytes.NewReader(plain), service.ImportOptions{Name: "UPPER"}, errdefs.IsInvalidArgument, ""},
		"no change":          {bytes.NewReader(plain), service.ImportOptions{Changes: []string{"RUN x"}}, errdefs.IsInvalidArgument, "not a valid change command"},
		"half a platform":    {bytes.NewReader(plain), service.ImportOptions{Platform: &badPlatform}, errdefs.IsInvalidArgument, "architecture"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, service.Options{Clock: importClock})
			_, err := f.Import(t.Context(), tc.r, tc.opts)
			if err == nil || !tc.kind(err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Import: %v, want %q", err, tc.text)
			}
			f.wantNothing(t, map[string]digest.Digest{}, 0)
		})
	}
}

// TestImportCancelled checks that an import ends with its context, although the stream does
// not.
func TestImportCancelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	t.Cleanup(func() { _ = pw.Close() }) // never fails
	go func() {
		_, _ = pw.Write(rootFS(t)[:1000])
		cancel()
	}()
	if _, err := f.Import(ctx, pr, service.ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Import: %v", err)
	}
	f.wantNothing(t, map[string]digest.Digest{}, 0)
}

// TestImportCancelledWhileItExpands has the context end while few bytes, all of which were read,
// become 2.5 GiB.
func TestImportCancelledWhileItExpands(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	t.Cleanup(func() { _ = pw.Close() }) // never fails
	bomb := testarchive.Archive{{Name: "zeros", Kind: '0'}}.Pack(t)[:512]
	bomb = append(testarchive.Zstd(t, bomb), bytes.Repeat(testarchive.Zstd(t, make([]byte, 64<<20)), 40)...)
	var ended time.Time
	go func() {
		_, _ = pw.Write(bomb)
		ended = time.Now()
		cancel()
	}()
	_, err := f.Import(ctx, pr, service.ImportOptions{})
	<-ctx.Done()
	if took := time.Since(ended); !errors.Is(err, context.Canceled) || took > time.Second {
		t.Errorf("Import: %v, %v after its context had ended", err, took)
	}
	f.wantNothing(t, map[string]digest.Digest{}, 0)
}

// TestMovedEvents checks what is told of images that are saved, loaded and imported.
func TestMovedEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{Clock: importClock})
	events, err := f.Events(t.Context(), service.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := f.Import(t.Context(), bytes.NewReader(rootFS(t)), service.ImportOptions{Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	data, _ := f.save(t, service.SaveOptions{}, "app")
	if _, err := f.Load(t.Context(), bytes.NewReader(data), service.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	f.save(t, service.SaveOptions{}, done.Target.Digest.String())
	type event struct {
		action   service.Action
		id, name string
	}
	var got []event
	for e := range events {
		if got = append(got, event{e.Action, e.ID, e.Name}); len(got) == 4 {
			break
		}
	}
	id := done.Target.Digest.String()
	want := []event{{"import", id, "app:latest"}, {"save", id, "app:latest"}, {"load", id, "app:latest"}, {"save", id, ""}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
		t.Error("events (-want +got):\n", diff)
	}
}
