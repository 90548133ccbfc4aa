package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// prompt is how soon a call returns after its context has ended. The suite takes
// the best of some tries, because a test machine may be busy.
const (
	prompt = 100 * time.Millisecond
	tries  = 5
)

// concurrent puts many blobs at once, and each of them several times.
func (f Factory) concurrent(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	var layers []ocispec.Descriptor
	many := f.Many
	if many == 0 {
		many = 150
	}
	for i := range many {
		layers = append(layers, store.Store.Put(ocispec.MediaTypeImageLayerGzip, fmt.Append(nil, "small layer ", i)))
	}
	for i := range 3 {
		layers = append(layers, store.Store.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte{byte(i)}, large)))
	}
	root := store.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": store.Store.Put(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)),
		"layers": layers,
	})
	d := openDestination(t, place)
	nodes := store.nodes(t, root)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range nodes[:len(nodes)-1] {
				n := nodes[i]
				if worker%2 == 1 {
					n = nodes[len(nodes)-2-i]
				}
				if _, err := d.Put(t.Context(), n, store.opener(n.Desc)); err != nil {
					t.Errorf("Put of %s: %v", n.Desc.Digest, err)
				}
			}
		})
	}
	wg.Wait()
	store.put(t, d, root)
	Commit(t, d, transport.Naming{Desc: root})
	store.wantGraph(t, openSource(t, place), root)
}

// cancelled checks that calls with a context that has ended do nothing.
func (f Factory) cancelled(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	store.write(t, place, root)
	other := store.Image(testimage.Image{Platform: arm64()})
	d, src := openDestination(t, place), openSource(t, place)
	store.put(t, d, other)
	n := transport.Node{Desc: store.Store.Put(ocispec.MediaTypeImageLayerGzip, []byte("new")), Role: image.RoleLayer}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Put":    func() error { _, err := d.Put(ctx, n, store.opener(n.Desc)); return err },
		"Commit": func() error { _, err := d.Commit(ctx, []transport.Naming{{Desc: other}}); return err },
		"Root":   func() error { _, err := src.Root(ctx); return err },
		"Open":   func() error { _, err := readAll(ctx, src, root, 0); return err },
		"Destination": func() error {
			d, err := place.Destination(ctx)
			if err == nil {
				err = d.Close()
			}
			return err
		},
		"Source": func() error {
			s, err := place.Source(ctx)
			if err == nil {
				err = s.Close()
			}
			return err
		},
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want %v", name, err, context.Canceled)
		}
	}
	wantRoot(t, place, root.Digest)
}

// cancelReading checks that Put returns soon when its context ends while it
// waits for bytes.
func (f Factory) cancelReading(t *testing.T) {
	store := &source{Store: &testimage.Store{}}
	desc := store.Store.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte("x"), 1<<20))
	late := time.Duration(0)
	for range tries {
		place := f.New(t)
		d := openDestination(t, place)
		ctx, cancel := context.WithCancel(t.Context())
		var ended time.Time
		stop := time.AfterFunc(20*time.Millisecond, func() { ended = time.Now(); cancel() })
		_, err := d.Put(ctx, transport.Node{Desc: desc, Role: image.RoleLayer}, func(ctx context.Context, _ int64) (io.ReadCloser, error) {
			return store.count(io.MultiReader(bytes.NewReader(store.Get(desc.Digest)[:1000]), waiting{ctx})), nil
		})
		if stop.Stop() || !errors.Is(err, context.Canceled) {
			t.Fatalf("Put: %v; want %v", err, context.Canceled)
		}
		late = time.Since(ended)
		if err := d.Close(); err != nil {
			t.Error("Close:", err)
		}
		if desc, err := tryRoot(t.Context(), place.Source); err == nil {
			t.Errorf("Root: %s; want none", desc.Digest)
		}
		if late <= prompt {
			break
		}
	}
	if late > prompt {
		t.Errorf("Put returned %v after its context had ended", late)
	}
	eventually(t, "all readers are closed", func() bool { return store.open.Load() == 0 })
}

// waiting is a reader that waits until its context ends.
type waiting struct{ ctx context.Context } //nolint:containedctx // it stands for a connection

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

// goroutines checks that none is left after everything was closed.
func (f Factory) goroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("use", func(t *testing.T) {
		f.concurrent(t)
		f.cancelReading(t)
		f.openerFails(t)
	})
	eventually(t, fmt.Sprintf("no more than the %d goroutines of before", before), func() bool { return runtime.NumGoroutine() <= before })
}

// eventually waits a second at the most for what other goroutines do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("waited in vain: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}
