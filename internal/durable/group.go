package durable

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

const (
	// smallFile is the size up to which a file waits for others: most of what it
	// costs is its sync, and many syncs at once cost little more than one.
	smallFile = 1 << 20

	// groupSize is how many files are synced together, and held open until then.
	groupSize = 64

	// syncers is how many syncs run at once; the file system joins them.
	syncers = 4
)

// group is a set of small files that are written and not yet synced.
type group struct {
	files []*temp
	done  chan struct{} // closed when they are durable, or the Writer has failed
}

func (g *group) has(name string) bool {
	return slices.ContainsFunc(g.files, func(t *temp) bool { return t.name == name })
}

func (g *group) discard() error {
	var errs []error
	for _, t := range g.files {
		errs = append(errs, t.discard())
	}
	return errors.Join(errs...)
}

// hold adds a written file to the group that is being filled. Whoever fills it
// up syncs it.
func (w *Writer) hold(tmp *temp, d digest.Digest) error {
	w.mu.Lock()
	if w.filling == nil {
		w.filling = &group{done: make(chan struct{})}
	}
	g := w.filling
	g.files = append(g.files, tmp)
	w.written[tmp.name] = d
	full := len(g.files) == groupSize
	if full {
		w.startSync()
	}
	w.mu.Unlock()
	if !full {
		return nil
	}
	return w.syncGroup(g)
}

// startSync closes the group that is being filled; the caller holds mu, and
// syncs the group if it is not nil.
func (w *Writer) startSync() *group {
	g := w.filling
	w.filling = nil
	if g != nil {
		w.syncing[g] = true
	}
	return g
}

func (w *Writer) syncGroup(g *group) error {
	for _, t := range g.files {
		t.startWriteBack()
	}
	err := w.parallel(len(g.files), func(i int) error { return g.files[i].finish() })
	for i, t := range g.files {
		if err == nil {
			err = w.publish(t)
		} else {
			err = errors.Join(err, g.files[i].discard())
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.syncing, g)
	close(g.done)
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return err
}

// Flush makes every file that was Put or adopted durable under its name, and
// removes what killed processes left. Once it failed it fails always: something
// that was Put is not there.
func (w *Writer) Flush(ctx context.Context) error {
	return w.Do(ctx, w.flush)
}

func (w *Writer) flush() error {
	w.sweep() // a killed process may have left nothing to write but this
	w.mu.Lock()
	mine := w.startSync()
	others := slices.Collect(maps.Keys(w.syncing))
	w.mu.Unlock()
	if mine != nil {
		_ = w.syncGroup(mine) // kept in failed
	}
	for _, g := range others {
		<-g.done
	}

	// What another call took is durable only when that has ended, and a cancelled
	// one goes on.
	w.flushing.Lock()
	defer w.flushing.Unlock()
	w.mu.Lock()
	adopted := slices.Sorted(maps.Keys(w.adopted))
	for _, name := range adopted {
		// Whoever wrote the file may just have made all directories above it.
		dir := path.Dir(name)
		for ; dir != "."; dir = path.Dir(dir) {
			w.dirty[dir] = true
		}
		w.dirty[dir] = true
	}
	dirty := slices.Sorted(maps.Keys(w.dirty))
	clear(w.adopted)
	clear(w.dirty)
	err := w.failed
	w.mu.Unlock()
	if err != nil {
		return err
	}
	err = w.parallel(len(adopted), func(i int) error { return syncFile(w.root, adopted[i]) })
	if err == nil {
		err = w.parallel(len(dirty), func(i int) error { return w.syncDir(w.root, dirty[i]) })
	}
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = fmt.Errorf("making %s durable: %w", w.root.Name(), err)
		return w.failed
	}
	return nil
}

// parallel calls do for 0 to n-1, some at once, and returns the first error of
// those that it called; after one it calls no more, nor after Close.
func (w *Writer) parallel(n int, do func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		next  int
		first error
	)
	claim := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		i = next
		next++
		return i, i < n && first == nil
	}
	done := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
	}
	for range min(n, syncers) {
		wg.Go(func() {
			for i, ok := claim(); ok; i, ok = claim() {
				err := w.checkOpen()
				if err == nil {
					err = do(i)
				}
				done(err)
			}
		})
	}
	wg.Wait()
	return first
}
