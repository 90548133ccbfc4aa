package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/internal/verify"
)

// file is a sink that becomes a file when it is published, in the place of the one that is
// there.
type file struct {
	name   string // below root
	root   *os.Root
	writer *durable.Writer
	draft  *durable.Draft // nil before begin and after publish

	published fs.FileInfo // nil before publish
}

// newFile returns a sink for the file at a path. It writes nothing. Symbolic links are
// followed, so that they stay; one to nothing is errdefs.ErrFailedPrecondition.
func newFile(path string, log *slog.Logger) (*file, error) {
	if _, err := os.Lstat(path); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, fmt.Errorf("it is a symbolic link to nothing: %w: %w", err, errdefs.ErrFailedPrecondition)
		}
	}
	dir, name := filepath.Split(filepath.Clean(path))
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no directory %s: %w", dir, errdefs.ErrFailedPrecondition)
	case err != nil:
		return nil, err
	}
	return &file{name: name, root: root, writer: durable.NewWriter(root, durable.Options{Logger: log})}, nil
}

func (f *file) run(ctx context.Context, job func() error) error { return f.writer.Do(ctx, job) }

func (f *file) begin() (err error) {
	if f.draft == nil {
		f.draft, err = f.writer.Draft(f.name)
	}
	return err
}

func (f *file) Write(p []byte) (int, error) { return f.draft.Write(p) }

// add hides that the content may be a file: the kernel takes longer to copy to the middle of a
// page, which is where content stands in an archive, than it takes to read and write it.
func (f *file) add(ctx context.Context, content io.ReadCloser, check *verify.Verifier) error {
	return f.draft.Append(ctx, check, func(context.Context) (io.ReadCloser, error) { return struct{ io.ReadCloser }{content}, nil })
}

func (f *file) cut(size int64) error { return f.draft.Cut(size) }

func (f *file) publish(ctx context.Context) error {
	info, err := f.draft.Stat()
	if err != nil {
		return err
	}
	draft := f.draft
	f.draft = nil
	if err := draft.Publish(ctx); err != nil {
		return err
	}
	f.published = info
	return nil
}

// resume begins a new file with the content of the one that was published, if that is still
// there: whoever reads it shall not see it change.
func (f *file) resume(ctx context.Context, size int64) error {
	old, err := rootfile.Open(f.root, f.name)
	if err != nil {
		return err
	}
	defer old.Close()
	info, err := old.Stat()
	switch {
	case err != nil:
		return err
	case !os.SameFile(info, f.published) || info.Size() != f.published.Size():
		return fmt.Errorf("another file has taken the place of the archive: %w", errdefs.ErrFailedPrecondition)
	}
	if err := f.begin(); err != nil {
		return err
	}
	if err := f.draft.CopyFrom(ctx, old, size); err != nil {
		draft := f.draft
		f.draft = nil
		return errors.Join(err, draft.Discard())
	}
	return nil
}

func (f *file) close() error { return errors.Join(f.writer.Close(), f.root.Close()) }
