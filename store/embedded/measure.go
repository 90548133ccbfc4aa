package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

var _ store.Measurer = (*Store)(nil)

// Measure is that of store.Measurer.
func (s *Store) Measure(ctx context.Context) (store.Disk, error) {
	var disk store.Disk
	if s.closed.Load() {
		return disk, errClosed
	}
	err := fs.WalkDir(s.root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && !entry.IsDir() {
			err = measure(&disk, path, entry)
		}
		if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
			return nil
		}
		return err
	})
	if err != nil {
		return store.Disk{}, fmt.Errorf("measuring the store %s: %w", s.root.Name(), files.Kind(err))
	}
	return disk, nil
}

// measure adds a file to what it is for.
func measure(disk *store.Disk, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	top, _, _ := strings.Cut(path, "/")
	switch top {
	case "blobs":
		disk.Blobs.Add(info.Size())
	case "ingest":
		disk.Partial.Add(info.Size())
	case "trash", "bad":
		disk.Trash.Add(info.Size())
	default:
		disk.Own.Add(info.Size())
	}
	return nil
}
