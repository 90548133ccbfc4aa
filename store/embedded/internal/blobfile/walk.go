package blobfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// Walk calls f with the regular files that are in the place of a blob, in the order of
// their digests, from the one after the given one on; empty: from the first. An error of
// f ends it and is returned. Blobs that come or go meanwhile may be seen or not.
func (d *Dir) Walk(ctx context.Context, after digest.Digest, f func(blob digest.Digest, size int64) error) error {
	var from place
	if after != "" {
		var err error
		if from, err = placeOf(after); err != nil {
			return err
		}
	}
	return d.walk(ctx, from, visitor{
		blob: func(blob digest.Digest, info fs.FileInfo) error {
			if blob <= after || !info.Mode().IsRegular() {
				return nil
			}
			return f(blob, info.Size())
		},
		stray: func(string, string) error { return nil },
	})
}

// Stray is something that has no place in the directories of a Dir.
type Stray struct {
	// Path is below the root, with slashes. What others have named may have any
	// characters.
	Path string
	// What says what is wrong with it, as "a FIFO, not a regular file".
	What string
	// Blob is the digest, if the path is a blob's: SetAside heals it. Else it is empty.
	Blob digest.Digest
}

// Strays calls f with what is below blobs/ and ingest/ and was not made by this package.
// An error of f ends it and is returned.
func (d *Dir) Strays(ctx context.Context, f func(Stray) error) error {
	stray := func(name, what string) error { return f(Stray{Path: name, What: what}) }
	err := d.walk(ctx, place{}, visitor{
		blob: func(blob digest.Digest, info fs.FileInfo) error {
			if info.Mode().IsRegular() {
				return nil
			}
			p, err := placeOf(blob)
			if err != nil {
				return err
			}
			return f(Stray{Path: path.Join(p.dir(), p.hex), What: notA(info, "a regular file"), Blob: blob})
		},
		stray: stray,
	})
	if err != nil {
		return err
	}
	return d.use(func() error {
		return d.each(ctx, d.ingest, "", func(name string, info fs.FileInfo) error {
			var what string
			switch base, isNote := strings.CutSuffix(name, noteSuffix); {
			case !info.Mode().IsRegular():
				what = notA(info, "a regular file")
			case isIngest(name), isNote && isIngest(base), strings.HasSuffix(name, tempSuffix):
				return nil
			default:
				what = "no name of a file that is being written"
			}
			return stray(path.Join(ingestName, name), what)
		})
	})
}

func notA(info fs.FileInfo, want string) string {
	return rootfile.Describe(info.Mode()) + ", not " + want
}

// visitor is told of what is in the place of a blob, and of what has no place.
type visitor struct {
	blob  func(blob digest.Digest, info fs.FileInfo) error
	stray func(path, what string) error
}

// walk visits what is below blobs/ in the order of its path, from the directory of a
// blob on.
func (d *Dir) walk(ctx context.Context, from place, v visitor) error {
	return d.use(func() error {
		return d.each(ctx, d.blobs, string(from.algorithm), func(name string, info fs.FileInfo) error {
			at := path.Join(blobsName, name)
			algorithm, err := known(digest.Algorithm(name))
			if err != nil {
				return v.stray(at, "no algorithm of digests")
			}
			if !info.IsDir() {
				return v.stray(at, notA(info, "a directory"))
			}
			dir, err := d.algorithm(algorithm, (*folder).open)
			if err != nil {
				return err
			}
			first := ""
			if algorithm == from.algorithm {
				first = from.shard
			}
			return d.walkAlgorithm(ctx, dir, algorithm, first, v)
		})
	})
}

func (d *Dir) walkAlgorithm(ctx context.Context, dir *folder, algorithm digest.Algorithm, first string, v visitor) error {
	return d.each(ctx, dir, first, func(name string, info fs.FileInfo) error {
		at := path.Join(dir.path, name)
		if len(name) != shardWidth || strings.Trim(name, "0123456789abcdef") != "" {
			return v.stray(at, "not two hex characters")
		}
		if !info.IsDir() {
			return v.stray(at, notA(info, "a directory"))
		}
		shard, err := dir.open(name)
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer shard.close()
		return d.each(ctx, shard, "", func(hex string, info fs.FileInfo) error {
			p, err := placeOf(digest.NewDigestFromEncoded(algorithm, hex))
			if err != nil || p.shard != name {
				return v.stray(path.Join(at, hex), "not the name of a blob")
			}
			return v.blob(p.blob, info)
		})
	})
}

// each calls f with the entries of a directory in the order of their names, from one on.
func (d *Dir) each(ctx context.Context, dir *folder, first string, f func(name string, info fs.FileInfo) error) error {
	if dir == nil {
		return ctx.Err()
	}
	file, err := dir.root.Open(".")
	if err != nil {
		return fmt.Errorf("reading the directory %s: %w", dir.path, told(err))
	}
	entries, err := file.ReadDir(-1)
	_ = file.Close() // it was only read
	if err != nil {
		return fmt.Errorf("reading the directory %s: %w", dir.path, told(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Name() < first {
			continue
		}
		info, err := dir.root.Lstat(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at %s: %w", path.Join(dir.path, e.Name()), told(err))
		}
		if err := f(e.Name(), info); err != nil {
			return err
		}
	}
	return nil
}
