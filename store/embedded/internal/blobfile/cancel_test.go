package blobfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// promptly is within how long a method has to return when its context has ended. What a
// loaded machine adds is more than what is measured, which is logged.
const promptly = 100*time.Millisecond + 2*time.Second

// cancelled calls f, has its context end when began is closed, and wants it to return
// that soon.
func cancelled(t *testing.T, began <-chan struct{}, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- f(ctx) }()
	select {
	case <-began:
	case err := <-result:
		t.Fatalf("it returned before: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("it did not begin")
	}
	begin := time.Now()
	cancel()
	select {
	case err := <-result:
		wantKind(t, "what was cancelled", err, context.Canceled)
		t.Logf("returned after %v", time.Since(begin))
	case <-time.After(promptly):
		t.Fatal("it goes on")
	}
}

// blocking is a reader that gives some bytes, and then waits without looking at any
// context.
type blocking struct {
	*bytes.Reader
	began, goOn chan struct{}
	closed      chan struct{}
}

func (b *blocking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		close(b.began)
		<-b.goOn
	}
	return n, err
}

func (b *blocking) Close() error { close(b.closed); return nil }

func TestFillThatIsCancelled(t *testing.T) {
	t.Parallel()
	data := randomBytes(1, 8*Small)
	blob := digest.FromBytes(data)
	for name, cut := range map[string]int{"small": 10, "large": 6 * Small} {
		for how, end := range map[string]func(*Ingest) error{"Close": (*Ingest).Close, "Abort": (*Ingest).Abort} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				d, dir := newDir(t)
				in := create(t, d, "ref")
				src := &blocking{bytes.NewReader(data[:cut]), make(chan struct{}), make(chan struct{}), make(chan struct{})}
				cancelled(t, src.began, func(ctx context.Context) error {
					return in.Fill(ctx, blob, int64(len(data)), func(context.Context, int64) (io.ReadCloser, error) { return src, nil })
				})
				if err := end(in); err != nil { // does not wait
					t.Error(err)
				}
				// Another one waits for it, as long as it likes.
				waiting, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				_, err := d.Create(waiting, "ref", "")
				wantKind(t, "Create meanwhile", err, context.DeadlineExceeded)
				close(src.goOn)
				again := create(t, d, "ref")
				<-src.closed
				if how == "Abort" {
					wantOffset(t, again, 0)
					wantTree(t, dir)
				}
				if err := again.Fill(t.Context(), blob, int64(len(data)), opens(data)); err != nil {
					t.Fatal(err)
				}
				wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{again}), nil)
				wantBlob(t, d, data)
			})
		}
	}
}

// TestFillGoesOnAfterItWasCancelled uses the same Ingest again.
func TestFillGoesOnAfterItWasCancelled(t *testing.T) {
	t.Parallel()
	data := randomBytes(2, 20*Small)
	d, _ := newDir(t)
	in := create(t, d, "ref")
	ctx, cancel := context.WithCancel(t.Context())
	err := in.Fill(ctx, digest.FromBytes(data), int64(len(data)), func(ctx context.Context, _ int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:12*Small]), readerFunc(func([]byte) (int, error) {
			cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		}))), nil
	})
	wantKind(t, "Fill", err, context.Canceled)
	if err := in.Fill(t.Context(), digest.FromBytes(data), int64(len(data)), opens(data)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), nil)
	wantBlob(t, d, data)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestPublishThatIsCancelled stops it at each step, and shows that nothing is visible
// then, and all is kept.
func TestPublishThatIsCancelled(t *testing.T) {
	t.Parallel()
	contents := samples(3, 10, Small+1)
	for _, step := range []string{"data ", "rename ingest", "dir blobs", "dir ."} {
		for _, closes := range []string{"closed", "used on"} {
			t.Run(step+closes, func(t *testing.T) {
				t.Parallel()
				d, dir := newDir(t)
				r := record(d, dir)
				began, goOn := make(chan struct{}), make(chan struct{})
				blocked := false
				r.fails = func(event string) error {
					r.mu.Lock()
					first := strings.HasPrefix(event, step) && !blocked
					blocked = blocked || first
					r.mu.Unlock()
					if first {
						close(began)
						<-goOn
					}
					return nil
				}
				var files []*Ingest
				for _, data := range contents {
					files = append(files, filled(t, d, data))
				}
				cancelled(t, began, func(ctx context.Context) error { return d.Publish(ctx, files) })
				if closes == "closed" {
					for _, in := range files {
						if err := in.Close(); err != nil {
							t.Error(err)
						}
					}
					close(goOn)
					for i, in := range files {
						files[i] = create(t, d, in.Ref())
						wantOffset(t, files[i], int64(len(contents[i])))
						if err := files[i].Verify(t.Context(), digest.FromBytes(contents[i]), -1); err != nil {
							t.Error(err)
						}
					}
				} else {
					close(goOn)
					for _, in := range files {
						_, err := in.Digest(t.Context(), "") // waits
						wantKind(t, "Digest", err, nil)
					}
				}
				wantTree(t, filepath.Join(dir, blobsName))
				wantKind(t, "Publish", d.Publish(t.Context(), files), nil)
				for _, data := range contents {
					wantBlob(t, d, data)
				}
				wantTree(t, filepath.Join(dir, ingestName))
			})
		}
	}
}

func TestPublishThatIsCancelledWhenItIsDone(t *testing.T) {
	t.Parallel()
	for range 20 { // whichever is first
		d, _ := newDir(t)
		data := randomBytes(5, 100)
		in := filled(t, d, data)
		ctx, cancel := context.WithCancel(t.Context())
		syncs := d.ops.syncDir
		d.ops.syncDir = func(f *os.File) error {
			defer cancel()
			return syncs(f)
		}
		err := d.Publish(ctx, []*Ingest{in})
		_, digestErr := in.Digest(t.Context(), "") // waits
		_, _, statErr := d.Stat(digest.FromBytes(data))
		if err == nil {
			wantKind(t, "Stat after success", statErr, nil)
			wantKind(t, "Digest after success", digestErr, errEnded)
		} else {
			wantKind(t, "Publish", err, context.Canceled)
			wantKind(t, "Stat after an error", statErr, errdefs.ErrNotFound)
			wantKind(t, "Digest after an error", digestErr, nil)
		}
	}
}

func TestAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(6, 2*Small)
	publish(t, d, data)
	d = openDir(t, dir) // which has verified nothing
	blob, size := digest.FromBytes(data), int64(len(data))
	in := filled(t, d, data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Trash([]digest.Digest{digest.FromString("none")}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, trashName, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := create(t, d, "ref")
	for name, f := range map[string]func() error{
		"Publish": func() error { return d.Publish(ctx, []*Ingest{in}) },
		"Fill":    func() error { return other.Fill(ctx, blob, size, opens(data)) },
		"Verify":  func() error { return d.Verify(ctx, blob, size) },
		"OpenAt":  func() error { _, err := d.OpenAt(ctx, blob, size); return err },
		"Open in the middle": func() error {
			_, err := d.Open(ctx, blob, size, 10)
			return err
		},
		"Walk":   func() error { return d.Walk(ctx, "", func(digest.Digest, int64) error { return nil }) },
		"Strays": func() error { return d.Strays(ctx, func(Stray) error { return nil }) },
		"Empty":  func() error { _, _, err := d.Empty(ctx); return err },
		"Partial": func() error {
			_, err := d.Partial(ctx)
			return err
		},
		"Expire": func() error { _, _, err := d.Expire(ctx, time.Now(), 0); return err },
		"Open a Dir": func() error {
			_, err := Open(ctx, openRoot(t, t.TempDir()), Options{})
			return err
		},
	} {
		wantKind(t, name, f(), context.Canceled)
	}
}

// TestCloseWaitsForWhatGoesOn shows that a Dir is closed only when nobody uses it.
func TestCloseWaitsForWhatGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := Open(t.Context(), openRoot(t, dir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := randomBytes(7, 2*Small)
	in := filled(t, d, data)
	began, goOn := make(chan struct{}), make(chan struct{})
	syncs := d.ops.syncData
	d.ops.syncData = func(f *os.File) error {
		close(began)
		<-goOn
		return syncs(f)
	}
	cancelled(t, began, func(ctx context.Context) error { return d.Publish(ctx, []*Ingest{in}) })
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	select {
	case err := <-closed:
		t.Errorf("Close returned %v while a file is being synced", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	d = openDir(t, dir)
	wantOffset(t, create(t, d, in.Ref()), int64(len(data)))
	wantTree(t, filepath.Join(dir, blobsName))
}
