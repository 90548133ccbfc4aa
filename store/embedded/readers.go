package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/store"
)

// memory reads a blob that is in memory.
type memory struct {
	*bytes.Reader
	data    []byte // all of it
	release func()
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading a blob from byte %d: %w", off, errdefs.ErrInvalidArgument)
	}
	return m.Reader.ReadAt(p, off)
}

func (m *memory) Size() int64 { return int64(len(m.data)) }

func (m *memory) Close() error { m.release(); return nil }

// fileReader reads a blob's file.
type fileReader struct {
	io.ReadCloser
	s       *Store
	d       digest.Digest
	release func()
}

func (r *fileReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.s.unreadable(r.d, err)
	}
	return n, err
}

func (r *fileReader) Close() error {
	defer r.release()
	return r.ReadCloser.Close()
}

// copyReader is a fileReader that the kernel can copy.
type copyReader struct {
	fileReader
	copier durable.FileCopier
}

func (r *copyReader) CopyTo(dst *os.File, n int64) (int64, error) { return r.copier.CopyTo(dst, n) }

// fileReaderAt reads a blob's file anywhere.
type fileReaderAt struct {
	store.ReaderAt
	release func()
}

func (r *fileReaderAt) Close() error {
	defer r.release()
	return r.ReaderAt.Close()
}
