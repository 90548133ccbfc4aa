package blobfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// SetAside moves whatever is in the place of a blob to bad/, or returns ErrNotFound.
func (d *Dir) SetAside(blob digest.Digest) error {
	p, err := placeOf(blob)
	if err != nil {
		return err
	}
	return d.change(func() error {
		shard, err := d.openShard(p)
		if err != nil {
			return d.noBlob(p, err)
		}
		defer shard.close()
		if err := d.setAside(p, shard); err != nil {
			return d.noBlob(p, err)
		}
		return nil
	})
}

func (d *Dir) setAside(p place, shard *folder) error {
	d.aside.Lock()
	defer d.aside.Unlock()
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.%d", p.hex, n)
		_, err := d.bad.root.Lstat(name)
		if err == nil {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = d.ops.rename(shard, p.hex, d.bad, name)
		}
		if err != nil {
			return lookedUp(err)
		}
		d.verified.forget(p.blob)
		d.log.Warn("set a damaged blob aside", "blob", p.blob, "file", badName+"/"+name)
		return nil
	}
}

// Trash takes whatever is in the place of blobs out of sight; that there is nothing is no
// error. It renames and syncs nothing, and so may be called under a lock: the order to
// keep is to commit that the blobs are gone, then Trash, then Empty. After a power
// failure before Empty they may be there again, and are what Walk finds and nobody knows.
// With an error others of the blobs may have gone or not.
func (d *Dir) Trash(blobs []digest.Digest) error {
	places := make([]place, len(blobs))
	for i, blob := range blobs {
		p, err := placeOf(blob)
		if err != nil {
			return err
		}
		places[i] = p
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.blob, b.blob) })
	return d.change(func() error {
		for len(places) > 0 {
			n := 1
			for n < len(places) && places[n].dir() == places[0].dir() {
				n++
			}
			if err := d.trashShard(places[:n]); err != nil {
				return err
			}
			places = places[n:]
		}
		return nil
	})
}

// trashShard is Trash of blobs in one directory.
func (d *Dir) trashShard(places []place) error {
	shard, err := d.openShard(places[0])
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer shard.close()
	d.mu.Lock()
	d.trashed[places[0].dir()] = places[0]
	d.mu.Unlock()
	for _, p := range places {
		d.verified.forget(p.blob)
		err := d.ops.rename(shard, p.hex, d.trash, randomName())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("moving blob %s to the trash: %w", p.blob, told(err))
		}
	}
	return nil
}

// trashBatch is how many names of files in the trash are read at once.
const trashBatch = 256

// Empty makes durable what Trash has done, and unlinks what is in the trash. It returns
// how many files that were, and their bytes, also beside an error; when the context has
// ended, those before that.
func (d *Dir) Empty(ctx context.Context) (n int, bytes int64, err error) {
	var done tally
	err = d.do(ctx, func() error {
		if err := d.syncTrashed(); err != nil {
			return err
		}
		return d.empty(ctx, &done)
	})
	if err != nil {
		err = fmt.Errorf("emptying the trash of %s: %w", d.base.root.Name(), err)
	}
	n, bytes = done.get()
	return n, bytes, err
}

// Settle makes durable what Trash has done.
func (d *Dir) Settle() error {
	if err := d.change(d.syncTrashed); err != nil {
		return fmt.Errorf("making durable what was removed from %s: %w", d.base.root.Name(), err)
	}
	return nil
}

// syncTrashed makes durable that the blobs are not in their places.
func (d *Dir) syncTrashed() error {
	d.mu.Lock()
	var shards []place
	for _, p := range d.trashed {
		shards = append(shards, p)
	}
	d.mu.Unlock()
	return parallel(len(shards), func(i int) error {
		d.mu.Lock()
		delete(d.trashed, shards[i].dir()) // before: who comes meanwhile is synced next time
		d.mu.Unlock()
		err := d.syncShard(shards[i])
		if err != nil {
			d.mu.Lock()
			d.trashed[shards[i].dir()] = shards[i]
			d.mu.Unlock()
		}
		return err
	})
}

func (d *Dir) syncShard(p place) error {
	shard, err := d.openShard(p)
	if err != nil {
		return err
	}
	defer shard.close()
	if err := d.ops.syncDir(shard.file); err != nil {
		return fmt.Errorf("syncing the directory %s: %w", shard.path, told(err))
	}
	return nil
}

func (d *Dir) empty(ctx context.Context, done *tally) error {
	dir, err := d.trash.root.Open(".")
	if err != nil {
		return told(err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(trashBatch)
		failed := parallel(len(entries), func(i int) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return d.unlink(entries[i].Name(), done)
		})
		if failed != nil {
			return failed
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return told(err)
		}
	}
}

// unlink removes what has a name in the trash.
func (d *Dir) unlink(name string, done *tally) error {
	info, err := d.trash.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another Empty was faster
	}
	if err != nil {
		return told(err)
	}
	if err := d.trash.remove(name); err != nil {
		return err
	}
	done.add(info.Size())
	return nil
}
