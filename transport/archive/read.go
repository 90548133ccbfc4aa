package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/decompress"
	"github.com/dhowhq/dhow/internal/openfile"
	"github.com/dhowhq/dhow/internal/tarindex"
)

// input is what an archive is read from: the first size bytes from an offset on.
type input struct {
	at     io.ReaderAt
	offset int64
	size   int64
	closer io.Closer // nil for nothing
}

func (in *input) close() error {
	if in.closer == nil {
		return nil
	}
	return in.closer.Close()
}

// openPath opens the file at a path. Where it is a pipe or a device, it returns a stream.
func openPath(ctx context.Context, path string) (*input, io.ReadCloser, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("there is no such file: %w", errdefs.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("%w: %w", err, errdefs.ErrPermissionDenied)
	case err != nil:
		return nil, nil, err
	case info.IsDir():
		return nil, nil, fmt.Errorf("it is a directory: %w", errdefs.ErrInvalidArgument)
	}
	f, err := openfile.Open(ctx, path, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, f, nil
	}
	in, err := regular(f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	in.closer = f
	return in, nil, nil
}

// regular returns what is left of a regular file; nil if it is none.
func regular(f *os.File) (*input, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	offset, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	return &input{at: f, offset: offset, size: max(info.Size()-offset, 0)}, nil
}

// prepare returns an archive that can be read in place: one that is compressed is staged.
func (in *input) prepare(ctx context.Context, opts Options) (*input, error) {
	section := io.NewSectionReader(in.at, in.offset, in.size)
	head := make([]byte, decompress.SniffLen)
	n, err := section.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if decompress.Sniff(head[:n]) == decompress.None {
		return in, nil
	}
	staged, err := unpack(ctx, section, opts)
	if err != nil {
		return nil, err
	}
	return staged, in.close()
}

// unpack stages a stream, and what it is compressed with is gone then.
func unpack(ctx context.Context, r io.Reader, opts Options) (*input, error) {
	s, err := stage(ctx, &unpacking{ctx: ctx, r: r}, opts)
	if err != nil {
		return nil, err
	}
	return &input{at: s, size: s.size, closer: s}, nil
}

// unpacking is a stream that is decompressed, whatever it is compressed with.
type unpacking struct {
	ctx   context.Context //nolint:containedctx // that of unpack
	r     io.Reader
	plain io.ReadCloser // nil before the first Read
}

func (u *unpacking) Read(p []byte) (int, error) {
	if u.plain == nil {
		buffered := bufio.NewReader(u.r)
		head, err := buffered.Peek(decompress.SniffLen)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if u.plain, err = decompress.NewReader(u.ctx, decompress.Sniff(head), buffered); err != nil {
			return 0, err
		}
	}
	n, err := u.plain.Read(p)
	if err != nil {
		_ = u.plain.Close() // never fails
	}
	return n, err
}

// isArchive reports whether a file that begins with these bytes is a tar archive or something
// compressed.
func isArchive(head []byte) bool {
	return decompress.Sniff(head) != decompress.None || tarindex.IsHeader(head)
}
