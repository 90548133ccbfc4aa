package blobfile

import (
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/rootfile"
)

// shardWidth is how many characters of a digest name the directory that it is in.
const shardWidth = 2

// place is where a blob is.
type place struct {
	blob      digest.Digest
	algorithm digest.Algorithm
	shard     string // in the directory of the algorithm
	hex       string
}

// placeOf is the only way from a digest to a path: it is checked here.
func placeOf(blob digest.Digest) (place, error) {
	d, err := image.ParseDigest(string(blob))
	if err != nil {
		return place{}, err
	}
	hex := d.Encoded()
	return place{d, d.Algorithm(), hex[:shardWidth], hex}, nil
}

// dir is the path of the directory of the blob.
func (p place) dir() string { return path.Join(blobsName, string(p.algorithm), p.shard) }

// algorithm opens the directory of an algorithm, or returns ErrNotFound. It stays open.
func (d *Dir) algorithm(a digest.Algorithm, open func(*folder, string) (*folder, error)) (*folder, error) {
	d.mu.Lock()
	known := d.algorithms[a]
	d.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if d.blobs == nil {
		return nil, fmt.Errorf("no directory %s: %w", blobsName, errdefs.ErrNotFound)
	}
	f, err := open(d.blobs, string(a))
	if err != nil {
		return nil, err
	}
	d.tighten(f)
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.algorithms[a]; known != nil {
		f.close()
		return known, nil
	}
	d.algorithms[a] = f
	return f, nil
}

// openShard opens the directory of a blob, or returns ErrNotFound.
func (d *Dir) openShard(p place) (*folder, error) {
	dir, err := d.algorithm(p.algorithm, (*folder).open)
	if err != nil {
		return nil, err
	}
	return dir.open(p.shard)
}

// makeShard opens the directory of a blob, and makes it if it is not there.
func (d *Dir) makeShard(p place) (*folder, error) {
	dir, err := d.algorithm(p.algorithm, (*folder).make)
	if err != nil {
		return nil, err
	}
	return dir.make(p.shard)
}

// shardRoot opens the directory of a blob for looking only.
func (d *Dir) shardRoot(p place) (*os.Root, error) {
	dir, err := d.algorithm(p.algorithm, (*folder).open)
	if err != nil {
		return nil, d.noBlob(p, err)
	}
	shard, err := rootfile.OpenDir(dir.root, p.shard)
	if err != nil {
		return nil, d.noBlob(p, planted(err, errdefs.ErrFailedPrecondition))
	}
	return shard, nil
}

// statBlob looks at what is in the place of a blob, whatever it is.
func (d *Dir) statBlob(p place) (fs.FileInfo, error) {
	shard, err := d.shardRoot(p)
	if err != nil {
		return nil, err
	}
	defer shard.Close()
	info, err := shard.Lstat(p.hex)
	if err != nil {
		return nil, d.noBlob(p, lookedUp(err))
	}
	return info, nil
}

// openBlob opens the file of a blob, which is a regular one.
func (d *Dir) openBlob(p place) (*os.File, fs.FileInfo, error) {
	shard, err := d.shardRoot(p)
	if err != nil {
		return nil, nil, err
	}
	defer shard.Close()
	f, err := rootfile.Open(shard, p.hex)
	if err != nil {
		return nil, nil, d.noBlob(p, planted(err, errdefs.ErrDataLoss))
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, d.noBlob(p, told(err))
	}
	return f, info, nil
}

// noBlob says why a blob cannot be had.
func (d *Dir) noBlob(p place, err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("no blob %s in %s: %w", p.blob, d.base.root.Name(), errdefs.ErrNotFound)
	}
	return fmt.Errorf("blob %s: %w", p.blob, err)
}
