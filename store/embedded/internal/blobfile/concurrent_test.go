package blobfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// TestConcurrentUse has workers write, publish, read, walk and collect the same few
// blobs. A lock for each says whether it is there, as an engine's database does.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	steps := 60
	if os.Getenv("DHOW_TEST_LONG") != "" {
		steps = 2000
	}
	d, dir := newDir(t)
	w := &world{d: d}
	for i, size := range []int{0, 100, Small, Small + 1, 3 * Small, 10 * Small} {
		w.blobs = append(w.blobs, &blobState{data: randomBytes(byte(i), size)})
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range steps {
				if err := w.step(t.Context(), random, worker); err != nil {
					t.Errorf("seed %d, worker %d: %v", seed, worker, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, b := range w.blobs {
		_, _, err := d.Stat(digest.FromBytes(b.data))
		if b.there && err != nil || !b.there && !errdefs.IsNotFound(err) {
			t.Errorf("blob of %d bytes, there: %v; %v", len(b.data), b.there, err)
		}
	}
	if _, _, err := d.Empty(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := d.Expire(t.Context(), time.Now().Add(time.Hour), 0); err != nil {
		t.Error(err)
	}
	wantTree(t, filepath.Join(dir, trashName))
	wantTree(t, filepath.Join(dir, ingestName))
	if err := d.Strays(t.Context(), func(s Stray) error { t.Errorf("stray %+v", s); return nil }); err != nil {
		t.Error(err)
	}
}

type world struct {
	d     *Dir
	blobs []*blobState
}

type blobState struct {
	mu    sync.RWMutex // held for writing by who publishes or trashes it
	data  []byte
	there bool
}

func (w *world) step(ctx context.Context, random *rand.Rand, worker int) error {
	b := w.blobs[random.IntN(len(w.blobs))]
	blob, size := digest.FromBytes(b.data), int64(len(b.data))
	switch random.IntN(8) {
	case 0, 1, 2:
		return w.write(ctx, b, random)
	case 3, 4:
		return w.read(ctx, b, random.Int64N(size+1))
	case 5:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.there = false
		return w.d.Trash([]digest.Digest{blob})
	case 6:
		_, _, err := w.d.Empty(ctx)
		return err
	}
	if worker%2 == 0 {
		_, err := w.d.Partial(ctx)
		return err
	}
	return w.d.Walk(ctx, "", func(digest.Digest, int64) error { return nil })
}

// write publishes a blob, or leaves what it has written; by chance its context ends.
func (w *world) write(ctx context.Context, b *blobState, random *rand.Rand) error {
	blob, size := digest.FromBytes(b.data), int64(len(b.data))
	in, err := w.d.Create(ctx, string(blob), "")
	if errdefs.IsUnavailable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	if random.IntN(4) == 0 {
		time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
	}
	err = in.Fill(short, blob, size, opens(b.data))
	if err == nil && random.IntN(8) == 0 {
		return in.Abort()
	}
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if err = w.d.Publish(short, []*Ingest{in}); err == nil {
			b.there = true
			return nil
		}
		// What goes on of it ends before the lock is given up.
		if _, err := in.Digest(ctx, ""); err != nil && !errors.Is(err, errEnded) {
			return err
		}
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (w *world) read(ctx context.Context, b *blobState, from int64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	blob, size := digest.FromBytes(b.data), int64(len(b.data))
	r, err := w.d.Open(ctx, blob, size, from)
	if !b.there && errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("there: %v: %w", b.there, err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b.data[from:]) {
		return fmt.Errorf("read %d of %d bytes: %w", len(got), size-from, err)
	}
	at, err := w.d.OpenAt(ctx, blob, size)
	if err != nil {
		return err
	}
	return at.Close()
}

// TestConcurrentPublishOfNeighbours is of many groups whose directories are the same.
func TestConcurrentPublishOfNeighbours(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	contents := make([][][]byte, 8)
	for i := range contents {
		for n := range 10 {
			contents[i] = append(contents[i], fmt.Append(nil, i, n))
		}
	}
	var wg sync.WaitGroup
	for _, group := range contents {
		wg.Go(func() {
			var files []*Ingest
			for _, data := range group {
				files = append(files, filled(t, d, data))
			}
			if err := d.Publish(t.Context(), files); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, group := range contents {
		for _, data := range group {
			wantBlob(t, d, data)
		}
	}
}
