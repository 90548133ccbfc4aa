// Package durable writes files so that none is seen under its name before all of
// its bytes are there, verified and on disk.
//
// A Writer streams each file into an ingest directory below the root that it
// writes to, checks size and digest, syncs the data, renames the file to its
// name and at last syncs the directories. Files left behind by a process that
// was killed are removed by the next Writer of the same root, also by one that
// finds everything there and writes nothing.
package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/verify"
)

// Options are those of a Writer. The zero value is the default.
type Options struct {
	// Logger is told of what was swept and what could not be; nil: nobody.
	Logger *slog.Logger
}

// File is a file to be written.
type File struct {
	// Name is the slash-separated path below the root. Directories are made.
	Name string
	// Digest is what the bytes must have.
	Digest digest.Digest
	// Size is the number of bytes; negative if it is not known.
	Size int64
}

// Writer writes files below one root. Its methods may be called concurrently,
// except Close. It writes nothing before it is asked to.
type Writer struct {
	root    *os.Root
	log     *slog.Logger
	pump    Pump
	sync    func(*os.File) error // makes a new file's data durable
	syncDir func(*os.Root, string) error
	link    func(root *os.Root, from, to string) error
	wait    time.Duration // of Close

	flushing sync.Mutex // only jobs take it: one at a time syncs what is dirty and adopted

	prep   sync.Mutex      // only jobs take it, for they may be long; before mu
	swept  bool            // nothing of killed processes is left
	ingest *ingest         // nil before the first write
	known  map[string]bool // directories that are there

	mu      sync.Mutex               // never held during input or output
	dirty   map[string]bool          // directories with entries that are not synced
	adopted map[string]bool          // files of others that Flush syncs
	written map[string]digest.Digest // what was Put under a name
	busy    map[string]chan struct{} // names that are being Put
	drafts  map[*temp]bool           // that are neither published nor discarded
	filling *group                   // takes small files
	syncing map[*group]bool
	failed  error // the first failure to make durable what was Put

	jobs   int // running, also after their call was cancelled
	closed bool
	idle   chan struct{} // closed by the last job of a closed Writer
}

// NewWriter returns a Writer below the root, which the caller keeps open until
// after Close.
func NewWriter(root *os.Root, opts Options) *Writer {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Writer{
		root:    root,
		log:     log,
		sync:    SyncData,
		syncDir: syncDir,
		link:    (*os.Root).Link,
		wait:    closeWait,
		known:   map[string]bool{".": true},
		dirty:   map[string]bool{},
		adopted: map[string]bool{},
		written: map[string]digest.Digest{},
		busy:    map[string]chan struct{}{},
		drafts:  map[*temp]bool{},
		syncing: map[*group]bool{},
		idle:    make(chan struct{}),
	}
}

// Put writes a file, and replaces one of that name. A small file may be held
// back, verified but under no name, until a group of them is synced together or
// Flush is called; see Has. A file that this Writer has Put under that name and
// with that digest is not written again. Bytes that do not match are
// errdefs.ErrDataLoss and leave nothing behind. The reader that open returns is
// closed, if the call was cancelled maybe after it returned.
func (w *Writer) Put(ctx context.Context, f File, open func(context.Context) (io.ReadCloser, error)) error {
	check, err := verify.New(f.Digest, f.Size)
	if err != nil {
		return err
	}
	release, err := w.acquire(ctx, f.Name)
	if err != nil {
		return err
	}
	return w.Do(ctx, func() error {
		defer release()
		if w.Has(f.Name, f.Digest) {
			return nil
		}
		return w.put(ctx, f, check, open)
	})
}

func (w *Writer) put(ctx context.Context, f File, check *verify.Verifier, open func(context.Context) (io.ReadCloser, error)) error {
	dir, err := w.open()
	if err != nil {
		return err
	}
	if err := w.makeDir(path.Dir(f.Name)); err != nil {
		return err
	}
	tmp, err := w.create(dir, f.Name)
	if err != nil {
		return err
	}
	err = w.fill(ctx, tmp, check, open)
	if err == nil {
		err = ctx.Err() // the sync may take long
	}
	if err != nil {
		return errors.Join(err, tmp.discard())
	}
	if check.Seen() <= smallFile {
		return w.hold(tmp, f.Digest)
	}
	err = tmp.finish()
	if err == nil {
		err = ctx.Err() // after Close nothing may appear any more
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.Name, err), tmp.discard())
	}
	if err := w.publish(tmp); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[f.Name] = f.Digest
	return nil
}

// Has reports whether this Writer has Put a file of that name and digest, be it
// held back or not.
func (w *Writer) Has(name string, d digest.Digest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written[name] == d
}

// Pending reports whether a file of that name was Put and is held back.
func (w *Writer) Pending(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.filling != nil && w.filling.has(name) {
		return true
	}
	for g := range w.syncing {
		if g.has(name) {
			return true
		}
	}
	return false
}

// Adopt makes Flush sync a file that was there already, written by whomever.
func (w *Writer) Adopt(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.adopted[name] = true
}

// acquire makes the caller the only one that Puts that name.
func (w *Writer) acquire(ctx context.Context, name string) (release func(), err error) {
	for {
		w.mu.Lock()
		other := w.busy[name]
		if other == nil {
			mine := make(chan struct{})
			w.busy[name] = mine
			w.mu.Unlock()
			return func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.busy, name)
				close(mine)
			}, nil
		}
		w.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another write of %s: %w", name, ctx.Err())
		}
	}
}
