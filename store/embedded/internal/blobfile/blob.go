package blobfile

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// Stat returns the size of a blob and when its file was written, or ErrNotFound. What is
// no regular file is ErrDataLoss.
func (d *Dir) Stat(blob digest.Digest) (size int64, modified time.Time, err error) {
	p, err := placeOf(blob)
	if err != nil {
		return 0, time.Time{}, err
	}
	var info fs.FileInfo
	err = d.use(func() (err error) {
		info, err = d.statBlob(p)
		return err
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return 0, time.Time{}, fmt.Errorf("blob %s is %s, not a regular file: %w", p.blob, rootfile.Describe(info.Mode()), errdefs.ErrDataLoss)
	}
	return info.Size(), info.ModTime(), nil
}

// Size returns the size of a blob as Stat does, for less.
func (d *Dir) Size(blob digest.Digest) (int64, error) {
	p, err := placeOf(blob)
	if err != nil {
		return 0, err
	}
	var size int64
	regular := false
	err = d.use(func() error {
		dir, err := d.algorithm(p.algorithm, (*folder).open)
		if err == nil {
			size, regular = sizeOf(dir.file, p.shard+"/"+p.hex)
		}
		return nil // Stat says what is wrong
	})
	if err != nil || regular {
		return size, err
	}
	size, _, err = d.Stat(blob)
	return size, err
}

// openSized opens a blob whose file has that size.
func (d *Dir) openSized(blob digest.Digest, size int64) (p place, file *os.File, info fs.FileInfo, err error) {
	if p, err = placeOf(blob); err != nil {
		return place{}, nil, nil, err
	}
	err = d.use(func() error {
		file, info, err = d.openBlob(p)
		return err
	})
	if err != nil {
		return place{}, nil, nil, err
	}
	if info.Size() != size {
		_ = file.Close() // nothing was written
		return place{}, nil, nil, fmt.Errorf("blob %s: the file has %d bytes, want %d: %w", p.blob, info.Size(), size, errdefs.ErrDataLoss)
	}
	return p, file, info, nil
}

// Open returns the bytes of a blob of that size from an offset on, or ErrNotFound. All
// bytes are hashed, also those before the offset: damaged ones end in ErrDataLoss in
// the place of the last bytes and of io.EOF. A blob of another size, or that is no
// regular file, is ErrDataLoss at once. An offset that is negative or beyond the size is
// ErrInvalidArgument. The context is that of Open alone.
//
// The reader has the method CopyTo of durable.FileCopier: who uses it has to verify what
// has arrived.
func (d *Dir) Open(ctx context.Context, blob digest.Digest, size, from int64) (io.ReadCloser, error) {
	if from < 0 || from > size {
		return nil, fmt.Errorf("offset %d in blob %.256q of %d bytes: %w", from, string(blob), size, errdefs.ErrInvalidArgument)
	}
	p, file, info, err := d.openSized(blob, size)
	if err != nil {
		return nil, err
	}
	r := &reader{d: d, blob: p.blob, file: file, info: info, at: from, size: size, hash: p.algorithm.Hash()}
	err = r.catchUp(ctx)
	if err == nil {
		_, err = file.Seek(from, io.SeekStart)
	}
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("reading blob %s: %w", p.blob, told(err))
	}
	return r, nil
}

// Verify reads a blob and checks size and digest: ErrDataLoss, ErrNotFound, or nil.
func (d *Dir) Verify(ctx context.Context, blob digest.Digest, size int64) error {
	p, file, info, err := d.openSized(blob, size)
	if err != nil {
		return err
	}
	defer file.Close()
	return d.verify(ctx, p, file, info)
}

// verify hashes an open blob.
func (d *Dir) verify(ctx context.Context, p place, file *os.File, info fs.FileInfo) error {
	h := p.algorithm.Hash()
	if err := d.hash(ctx, h, file, 0, info.Size()); err != nil {
		return fmt.Errorf("verifying blob %s: %w", p.blob, err)
	}
	return d.judge(p.blob, h, info)
}

// judge says whether a file, of which the hash has seen all, is the blob.
func (d *Dir) judge(blob digest.Digest, h hash.Hash, info fs.FileInfo) error {
	if got := digest.NewDigest(blob.Algorithm(), h); got != blob {
		d.verified.forget(blob)
		return fmt.Errorf("blob %s is damaged: the digest of its file is %s: %w", blob, got, errdefs.ErrDataLoss)
	}
	d.verified.add(blob, info)
	return nil
}

// ReaderAt reads a blob anywhere. It may be used concurrently.
type ReaderAt struct {
	blob digest.Digest
	file *os.File
	size int64
}

// OpenAt returns a blob of that size for reading anywhere; for errors see Open. It was
// verified before, by this Dir, and its file has not changed since (device, inode, size
// and times are the same), or OpenAt does it now.
func (d *Dir) OpenAt(ctx context.Context, blob digest.Digest, size int64) (*ReaderAt, error) {
	p, file, info, err := d.openSized(blob, size)
	if err != nil {
		return nil, err
	}
	if !d.verified.has(p.blob, info) {
		if err := d.verify(ctx, p, file, info); err != nil {
			_ = file.Close() // nothing was written
			return nil, err
		}
	}
	return &ReaderAt{blob: p.blob, file: file, size: size}, nil
}

// ReadAt is that of io.ReaderAt. A file that has become shorter is ErrDataLoss.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading blob %s at %d: %w", r.blob, off, errdefs.ErrInvalidArgument)
	}
	want := min(int64(len(p)), max(r.size-off, 0))
	n, err := r.file.ReadAt(p[:want], off)
	switch {
	case int64(n) < want && (err == nil || errors.Is(err, io.EOF)):
		return n, fmt.Errorf("reading blob %s: the file ends before byte %d: %w", r.blob, off+want, errdefs.ErrDataLoss)
	case int64(n) < want:
		return n, fmt.Errorf("reading blob %s: %w", r.blob, told(err))
	case want < int64(len(p)):
		return n, io.EOF
	}
	return n, nil
}

// Size is the blob's, in bytes.
func (r *ReaderAt) Size() int64 { return r.size }

// Close ends the reading.
func (r *ReaderAt) Close() error { return r.file.Close() }
