package blobfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/durable"
)

// The directories of a Dir.
const (
	blobsName  = "blobs"
	ingestName = "ingest"
	trashName  = "trash"
	badName    = "bad"
)

const (
	// sweepTime is for how long Open empties the trash.
	sweepTime = 50 * time.Millisecond

	// closeWait is for how long Close waits for what goes on.
	closeWait = 5 * time.Second
)

// Options are those of a Dir. The zero value is the default.
type Options struct {
	// Logger is told of what was swept, set aside, or could not be; nil: nobody.
	Logger *slog.Logger
	// ReadOnly has nothing made, removed or changed: what would do so is
	// ErrFailedPrecondition, and a directory that is not there is one without files.
	ReadOnly bool
}

// Dir is the files of one store. Its methods may be called concurrently. One Dir at a
// time, in one process, is open on a root; who opens it sees to that.
type Dir struct {
	log    *slog.Logger
	sealed bool // for reading only
	ops    operations
	pump   durable.Pump
	bufs   sync.Pool // of *[]byte, for hashing
	shares bool      // the kernel may copy without writing

	base, blobs, ingest, trash, bad *folder

	verified verified
	aside    sync.Mutex // held while a name in bad/ is chosen and taken

	mu         sync.Mutex                   // never held during input or output
	algorithms map[digest.Algorithm]*folder // in blobs, open
	lasting    map[string]bool              // directories that are durable in the one above
	writing    map[string]*Ingest           // by name
	trashed    map[string]place             // shards that Trash has changed, by path
	jobs       int                          // running, also after their call was cancelled
	closed     bool
	idle       chan struct{} // closed by the last job of a closed Dir
}

// operations are what a disk does that may fail, or that a crash may come between.
type operations struct {
	syncData func(*os.File) error
	syncDir  func(*os.File) error
	syncFS   func(*os.File) error
	rename   func(from *folder, name string, to *folder, as string) error
}

// Open makes the directories that are not there, and empties the trash, for a fraction
// of a second at most: Empty does the rest. What was being written stays. The root
// stays the caller's, and may be closed while the Dir is open.
func Open(ctx context.Context, root *os.Root, opts Options) (*Dir, error) {
	d := &Dir{
		log:        opts.Logger,
		sealed:     opts.ReadOnly,
		ops:        operations{syncData: durable.SyncData, syncDir: durable.SyncDirFile, syncFS: syncFS, rename: rename},
		bufs:       sync.Pool{New: func() any { b := make([]byte, hashChunk); return &b }},
		algorithms: map[digest.Algorithm]*folder{},
		lasting:    map[string]bool{},
		writing:    map[string]*Ingest{},
		trashed:    map[string]place{},
		idle:       make(chan struct{}),
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.openFolders(root); err != nil {
		d.closeFolders()
		return nil, fmt.Errorf("opening the blobs in %s: %w", root.Name(), err)
	}
	if err := d.sweep(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the blobs in %s: %w", root.Name(), err), d.Close())
	}
	return d, nil
}

func (d *Dir) openFolders(root *os.Root) error {
	own, err := root.OpenRoot(".")
	if err != nil {
		return told(err)
	}
	if d.base, err = newFolder(own, ".", own); err != nil {
		return err
	}
	d.shares = shares(d.base.file)
	for name, to := range map[string]**folder{blobsName: &d.blobs, ingestName: &d.ingest, trashName: &d.trash, badName: &d.bad} {
		f, err := d.openFolder(name)
		if err != nil {
			return err
		}
		*to = f
	}
	return nil
}

// openFolder makes one of the directories, or returns nil if it is not there and may not
// be made.
func (d *Dir) openFolder(name string) (*folder, error) {
	if !d.sealed {
		f, err := d.base.make(name)
		if err == nil {
			d.tighten(f)
		}
		return f, err
	}
	f, err := d.base.open(name)
	if errdefs.IsNotFound(err) {
		return nil, nil //nolint:nilnil // said above
	}
	return f, err
}

// tighten does so as far as it can: the directories of a file system that is read-only
// are as they are.
func (d *Dir) tighten(f *folder) {
	if d.sealed {
		return
	}
	if err := f.tighten(); err != nil {
		d.log.Warn("a directory that others can use", "error", err)
	}
}

// sweep removes what processes that ended have left and nobody will use.
func (d *Dir) sweep(ctx context.Context) error {
	if d.sealed {
		return ctx.Err()
	}
	d.sweepIngest()
	short, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	n, bytes, err := d.Empty(short)
	if n > 0 {
		d.log.Info("emptied the trash", "files", n, "bytes", bytes)
	}
	if err != nil && short.Err() == nil {
		d.log.Warn("emptying the trash", "error", err)
	}
	return ctx.Err()
}

// Close waits for what cancelled calls have left behind, a few seconds at most. An
// Ingest or a reader that is open is not closed by it: readers can be read on, what an
// Ingest has in memory is lost.
func (d *Dir) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	last := d.jobs == 0
	d.mu.Unlock()
	if last {
		d.closeFolders()
		return nil
	}
	select {
	case <-d.idle:
	case <-time.After(closeWait):
		d.log.Warn("closed while files are being written")
	}
	return nil
}

func (d *Dir) closeFolders() {
	all := []*folder{d.base, d.blobs, d.ingest, d.trash, d.bad}
	for _, f := range d.algorithms {
		all = append(all, f)
	}
	for _, f := range all {
		if f != nil {
			f.close()
		}
	}
}

// Free returns how many bytes this process may still write to the file system.
func (d *Dir) Free() (uint64, error) {
	var n uint64
	err := d.use(func() (err error) {
		n, err = free(d.base.file)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("looking for free space in %s: %w", d.base.root.Name(), told(err))
	}
	return n, nil
}
