package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// tree looks at all that is below the store's directory: for what has no place in it, and
// for modes that are not those of a store. It opens nothing but directories.
func (c *checker) tree(ctx context.Context) error {
	strays := map[string]blobfile.Stray{}
	err := fs.WalkDir(c.s.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // others may write
		}
		if err != nil {
			return files.Kind(err)
		}
		if err := c.step(ctx); err != nil {
			return err
		}
		if what := misplaced(name, info.Mode()); what != "" {
			strays[name] = blobfile.Stray{Path: name, What: what}
			return skip(entry)
		}
		if name == lostAndFound {
			return skip(entry)
		}
		if err := c.mode(name, info); err != nil || name != trashDir {
			return err
		}
		return skip(entry) // all of it goes
	})
	if err != nil {
		return err
	}
	err = c.s.files.Strays(ctx, func(s blobfile.Stray) error {
		strays[s.Path] = s
		return nil
	})
	if err != nil {
		return err
	}
	return c.strays(strays)
}

// mode checks the mode of a file or directory.
func (c *checker) mode(name string, info fs.FileInfo) error {
	want, ok := files.ModeOf(info)
	if !ok || info.Mode().Perm() == want {
		return nil
	}
	c.found(BadMode, name, fmt.Errorf("its mode is %v, not %v: %w", info.Mode().Perm(), want, errdefs.ErrPermissionDenied))
	return c.repaired(func() error { return files.Kind(c.s.root.Chmod(name, want)) })
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

const (
	lostAndFound = "lost+found"
	trashDir     = "trash"
	badDir       = "bad"
)

// directories are those in a store's directory.
var directories = []string{journalName, "blobs", "ingest", trashDir, badDir, lostAndFound}

// misplaced says what is wrong with what has a name below a store's directory, as far as
// package blobfile does not; empty: nothing.
func misplaced(name string, mode fs.FileMode) string {
	top, below, _ := strings.Cut(name, "/")
	switch {
	case name == ".", top == badDir && below != "", top == "ingest" && below != "", top == "blobs" && below != "":
		return ""
	case !slices.Contains(ours, top):
		return "nothing of a store's"
	case below == "" && slices.Contains(directories, name):
		if !mode.IsDir() {
			return rootfile.Describe(mode) + ", not a directory"
		}
	case !mode.IsRegular():
		return rootfile.Describe(mode) + ", not a regular file"
	case top == journalName && below != "" && !journal.IsName(below):
		return "no name of a file of the journal"
	}
	return ""
}

// strays sets aside what has no place in the store.
func (c *checker) strays(found map[string]blobfile.Stray) error {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		stray := found[name]
		if stray.Blob != "" {
			c.planted = append(c.planted, stray)
			continue
		}
		c.foundStray(stray)
		if err := c.repaired(func() error { return c.s.setAside(name) }); err != nil {
			return err
		}
	}
	return nil
}

// plantedBlobs sets aside what is in the places of blobs, and is no file, if no record
// knows of a blob there: else that is damaged.
func (c *checker) plantedBlobs() error {
	for _, stray := range c.planted {
		if c.bad[stray.Blob] {
			continue
		}
		c.foundStray(stray)
		err := c.repaired(func() error {
			if err := c.s.files.SetAside(stray.Blob); !errdefs.IsNotFound(err) {
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) foundStray(s blobfile.Stray) {
	c.found(Stray, s.Path, fmt.Errorf("it is %s: %w", s.What, errdefs.ErrInvalidArgument))
}

// maxAside is how much of a name in bad/ is that which something had before.
const maxAside = 100

// setAside moves something of the store to bad/, if it is there.
func (s *Store) setAside(name string) error {
	base := path.Base(name)
	base = strings.ToValidUTF8(base[:min(len(base), maxAside)], "_")
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s/%s.%d", badDir, base, n)
		if _, err := s.root.Lstat(to); err == nil {
			continue
		}
		err := s.root.Rename(name, to)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			s.log.Warn("set aside what is damaged, or has no place in a store", "file", name, "to", to)
		}
		return files.Kind(err)
	}
}
