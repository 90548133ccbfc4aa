package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// prompt is how soon a call returns after its context has ended. The suite takes the
// best of some tries, because a test machine may be busy.
const (
	prompt = 100 * time.Millisecond
	tries  = 5
)

func (f Factory) cancel() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"before":                     f.cancelled,
		"while bytes are waited for": f.cancelReading,
		"while another batch writes": f.cancelWaiting,
		"while it walks":             f.cancelWalking,
		"while it publishes":         f.cancelPublishing,
		"while it reads":             f.cancelOpened,
	}
}

// cancelled checks that calls with a context that has ended do nothing.
func (f Factory) cancelled(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	w.name(t, root, busybox)
	lease := w.lease(t)
	b := w.begin(t, lease)
	fresh := b.blob(t, []byte("fresh"))
	writer := b.writer(t, "ref")
	write(t, writer, []byte("x"))
	closed := b.writer(t, "closed")
	write(t, closed, []byte("x"))
	if err := closed.Close(); err != nil {
		t.Error("Close:", err)
	}
	before := w.state(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := w.layer([]byte("other"))
	for name, call := range map[string]func() error{
		"Stat":    func() error { _, err := w.Stat(ctx, root.Digest); return err },
		"Open":    func() error { _, err := readAll(ctx, w, root.Digest, 0); return err },
		"OpenAt":  func() error { _, err := w.OpenAt(ctx, root.Digest); return err },
		"Facts":   func() error { _, err := w.Facts(ctx, root.Digest); return err },
		"Walk":    func() error { return w.Walk(ctx, "", func(store.Blob) error { return nil }) },
		"Begin":   func() error { _, err := w.Begin(ctx, lease); return err },
		"Partial": func() error { _, err := w.Partial(ctx); return err },
		"Abort":   func() error { return w.Abort(ctx, "closed") },
		"Put":     func() error { _, err := b.Put(ctx, other, image.RoleLayer, w.src.opener(other)); return err },
		"Writer":  func() error { _, err := b.Writer(ctx, "another"); return err },
		"Publish": func() error { _, err := b.Publish(ctx, store.Move{Name: alpine, To: target(root)}); return err },
		"View":    func() error { return w.View(ctx, func(store.NameReader) error { return nil }) },
		"Move":    func() error { _, err := w.Move(ctx, store.Move{Name: alpine, To: target(root)}); return err },
		"Lease":   func() error { _, err := w.Lease(ctx, store.Lease{ID: "x"}); return err },
		"Extend":  func() error { return w.Extend(ctx, lease, time.Now().Add(time.Hour)) },
		"Hold":    func() error { return w.Hold(ctx, lease, root.Digest) },
		"Held":    func() error { _, err := w.Held(ctx, lease); return err },
		"Release": func() error { return w.Release(ctx, lease) },
		"Leases":  func() error { _, err := w.Leases(ctx); return err },
		"Collect": func() error { _, err := w.Collect(ctx); return err },
	} {
		wantKind(t, name, call(), context.Canceled)
	}
	w.wantState(t, "after calls that were cancelled", before)
	w.wantPartial(t, "ref", "closed")
	wantKind(t, "Commit", writer.Commit(ctx, w.layer([]byte("x")), image.RoleLayer), context.Canceled)
	b.publish(t)
	w.wantBlob(t, fresh.Digest)
}

// soonAfter checks that a call ends soon after its context, with that one's error. Its
// context ends some time after what begun tells.
func soonAfter(t *testing.T, what string, call func(ctx context.Context, begun func()) error) {
	t.Helper()
	late := time.Duration(0)
	for range tries {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan time.Time, 1)
		err := call(ctx, func() {
			time.AfterFunc(20*time.Millisecond, func() { ended <- time.Now(); cancel() })
		})
		late = time.Since(<-ended)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v; want %v", what, err, context.Canceled)
		}
		if late <= prompt {
			return
		}
	}
	t.Errorf("%s returned %v after its context had ended", what, late)
}

// waiting is a reader that waits until its context ends.
type waiting struct{ ctx context.Context } //nolint:containedctx // it stands for a connection

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

// cancelReading checks that Put ends while it waits for bytes, and can be repeated.
func (f Factory) cancelReading(t *testing.T) {
	w := f.world(t)
	desc := w.layer(bytes.Repeat([]byte("x"), 1<<20))
	b := w.begin(t, w.lease(t))
	soonAfter(t, "Put", func(ctx context.Context, begun func()) error {
		_, err := b.Put(ctx, desc, image.RoleLayer, func(ctx context.Context, from int64) (io.ReadCloser, error) {
			begun()
			return w.src.count(io.MultiReader(bytes.NewReader(w.src.Get(desc.Digest)[from:from+1000]), waiting{ctx})), nil
		})
		return err
	})
	b.put(t, desc, image.RoleLayer)
	b.publish(t)
	w.wantBlob(t, desc.Digest)
}

// cancelWaiting checks that Put ends while it waits for another batch.
func (f Factory) cancelWaiting(t *testing.T) {
	w := f.world(t)
	desc := w.layer(bytes.Repeat([]byte("x"), large))
	one, two := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
	held, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := one.Put(t.Context(), desc, image.RoleLayer, func(ctx context.Context, from int64) (io.ReadCloser, error) {
			close(held)
			<-goOn
			return w.src.opener(desc)(ctx, from)
		})
		done <- err
	}()
	<-held
	soonAfter(t, "Put", func(ctx context.Context, begun func()) error {
		begun()
		_, err := two.Put(ctx, desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) {
			return nil, errors.New("two batches read one blob")
		})
		return err
	})
	close(goOn)
	if err := <-done; err != nil {
		t.Error("the Put that was waited for:", err)
	}
	one.publish(t)
	w.wantBlob(t, desc.Digest)
}

// cancelWalking checks that Walk ends.
func (f Factory) cancelWalking(t *testing.T) {
	w := f.world(t)
	w.images(t, "a", "b")
	soonAfter(t, "Walk", func(ctx context.Context, begun func()) error {
		n := 0
		return w.Walk(ctx, "", func(store.Blob) error {
			if n++; n == 1 {
				begun()
				<-ctx.Done()
			} else {
				t.Error("Walk goes on")
			}
			return nil
		})
	})
}

// cancelOpened checks that a reader whose context has ended does not go on for ever.
func (f Factory) cancelOpened(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	data := bytes.Repeat([]byte("x"), 8<<20)
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if _, err := b.Put(t.Context(), desc, image.RoleLayer, w.src.of(data)); err != nil {
		t.Fatal("Put:", err)
	}
	b.publish(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := w.Open(ctx, desc.Digest, 0)
	if err != nil {
		t.Fatal("Open:", err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); err != nil && !errors.Is(err, context.Canceled) {
		t.Error("a reader whose context has ended:", err)
	}
	if err := r.Close(); err != nil {
		t.Error("Close:", err)
	}
}
