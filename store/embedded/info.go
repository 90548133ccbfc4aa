package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

var _ store.Informer = (*Store)(nil)

var errReadOnly = errors.New("opened for reading only")

// Exists reports whether there is a store in a directory, damaged or not: whether Open
// would find one rather than make it. What is there and is no directory is an error.
func Exists(dir string) (bool, error) {
	root, err := openDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a store in %s: %w", dir, err)
	}
	defer root.Close()
	for _, name := range []string{formatName, databaseName, journalName, "blobs"} {
		if _, err := root.Lstat(name); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("looking for a store in %s: %w", dir, files.Kind(err))
		}
	}
	return false, nil
}

// Info is that of store.Informer. Blobs are counted by their records: whether the files
// are there is for Check to say.
func (s *Store) Info(ctx context.Context) (store.Info, error) {
	if s.closed.Load() {
		return store.Info{}, errClosed
	}
	info := store.Info{Engine: "embedded", Location: s.root.Name()}
	if err := readFormat(s.root); err != nil {
		info.Leave(err.Error(), "format")
	} else {
		info.Format = formatVersion
	}
	for _, part := range []struct {
		count  func(context.Context, *store.Info) error
		fields []string
	}{
		{s.countBlobs, []string{"blobs", "files", "inline"}},
		{s.countNames, []string{"names", "dangling"}},
		{s.countLeases, []string{"leases"}},
		{s.countPartial, []string{"partial"}},
		{s.countFree, []string{"free"}},
	} {
		err := part.count(ctx, &info)
		if ctx.Err() != nil {
			return store.Info{}, ctx.Err()
		}
		if err != nil {
			info.Leave(err.Error(), part.fields...)
		}
	}
	info.State = store.Clean
	if why := s.refusal.Load(); why != nil { // what was counted may have been found damaged
		info.State, info.Reason = store.Degraded, (*why).Error()
		if errors.Is(*why, errReadOnly) {
			info.State = store.ReadOnly
		}
	}
	return info, nil
}

func (s *Store) countBlobs(ctx context.Context, info *store.Info) error {
	var all, inFiles, inline store.Amount
	var after digest.Digest
	for more := true; more; {
		err := s.view(ctx, func(tx *catalog.Tx) error {
			digests, blobs, err := tx.Walk(after, walked)
			for i, b := range blobs {
				after = digests[i]
				all.Add(b.Size)
				if b.File() {
					inFiles.Add(b.Size)
				} else {
					inline.Add(b.Size)
				}
			}
			more = len(blobs) == walked
			return err
		})
		if err != nil {
			return err
		}
	}
	info.Blobs, info.Files, info.Inline = &all, &inFiles, &inline
	return nil
}

func (s *Store) countNames(ctx context.Context, info *store.Info) error {
	names, dangling, after := 0, 0, ""
	for more := true; more; {
		err := s.view(ctx, func(tx *catalog.Tx) error {
			records, err := tx.List(after, walked)
			for _, r := range records {
				after = r.Key()
				if r.Dangling() {
					dangling++
				} else {
					names++
				}
			}
			more = len(records) == walked
			return err
		})
		if err != nil {
			return err
		}
	}
	info.Names, info.Dangling = &names, &dangling
	return nil
}

func (s *Store) countLeases(ctx context.Context, info *store.Info) error {
	leases, err := s.Leases(ctx)
	if err == nil {
		info.Leases = new(len(leases))
	}
	return err
}

func (s *Store) countPartial(ctx context.Context, info *store.Info) error {
	found, err := s.Partial(ctx)
	if err != nil {
		return err
	}
	info.Partial = &store.Amount{}
	for _, p := range found {
		info.Partial.Add(p.Offset)
	}
	return nil
}

func (s *Store) countFree(_ context.Context, info *store.Info) error {
	free, err := s.files.Free()
	if err == nil {
		info.Free = new(int64(min(free, 1<<63-1)))
	}
	return err
}

// openDir opens a directory. What is none is looked at only: to open a FIFO would take
// until somebody writes to it.
func openDir(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, files.Kind(err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("it is %s, not a directory: %w", rootfile.Describe(info.Mode()), errdefs.ErrFailedPrecondition)
	}
	root, err := os.OpenRoot(dir)
	return root, files.Kind(err)
}
