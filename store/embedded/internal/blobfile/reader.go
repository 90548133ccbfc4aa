package blobfile

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// reader reads a blob and hashes it. It is for one goroutine at a time.
type reader struct {
	d      *Dir
	blob   digest.Digest
	file   *os.File
	info   fs.FileInfo // before any of it was read
	size   int64
	at     int64 // what comes next; the file's own offset
	hash   hash.Hash
	hashed int64
	failed error
}

// Read is that of io.Reader. The last bytes come only when all are known to be right.
func (r *reader) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	n, err := r.read(p)
	if err != nil {
		r.failed = err
	}
	return n, err
}

func (r *reader) read(p []byte) (int, error) {
	if r.at == r.size {
		if err := r.check(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.size-r.at)])
	if r.hashed == r.at {
		_, _ = r.hash.Write(p[:n]) // never fails
		r.hashed += int64(n)
	}
	r.at += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("reading blob %s: the file ends after %d of %d bytes: %w", r.blob, r.at, r.size, errdefs.ErrDataLoss)
	case err != nil:
		return n, fmt.Errorf("reading blob %s: %w", r.blob, told(err))
	case r.at == r.size:
		if err := r.check(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// check is called when all was read.
func (r *reader) check() error {
	if err := r.catchUp(context.Background()); err != nil {
		return fmt.Errorf("reading blob %s: %w", r.blob, err)
	}
	return r.d.judge(r.blob, r.hash, r.info)
}

// catchUp has the hash see what was skipped, or copied by the kernel.
func (r *reader) catchUp(ctx context.Context) error {
	if err := r.d.hash(ctx, r.hash, r.file, r.hashed, r.at); err != nil {
		return err
	}
	r.hashed = r.at
	return nil
}

// CopyTo is that of durable.FileCopier.
func (r *reader) CopyTo(dst *os.File, n int64) (int64, error) {
	n, err := dst.ReadFrom(io.LimitReader(r.file, min(n, r.size-r.at)))
	r.at += n
	return n, err
}

func (r *reader) Close() error { return r.file.Close() }
