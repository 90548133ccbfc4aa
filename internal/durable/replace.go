package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// Replace writes a small file at once: its old content is there until the new
// content is durable under the name.
func (w *Writer) Replace(ctx context.Context, name string, data []byte) error {
	return w.writeNow(ctx, name, data, (*temp).rename)
}

// Create is Replace for a file that must not be there yet; one that is there
// stays as it is, and the error is fs.ErrExist.
func (w *Writer) Create(ctx context.Context, name string, data []byte) error {
	return w.writeNow(ctx, name, data, func(t *temp) error { return t.appear(ctx) })
}

func (w *Writer) writeNow(ctx context.Context, name string, data []byte, appear func(*temp) error) error {
	return w.Do(ctx, func() error {
		dir, err := w.open()
		if err != nil {
			return err
		}
		if err := w.makeDir(path.Dir(name)); err != nil {
			return err
		}
		tmp, err := w.create(dir, name)
		if err != nil {
			return err
		}
		err = tmp.write(data)
		if err == nil {
			err = tmp.finish()
		}
		if err == nil {
			err = ctx.Err() // after Close nothing may appear any more
		}
		if err != nil {
			return errors.Join(fmt.Errorf("writing %s: %w", name, err), tmp.discard())
		}
		if err := appear(tmp); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		w.mu.Lock()
		delete(w.written, name)
		w.mu.Unlock()
		return w.syncDir(w.root, path.Dir(name))
	})
}

// Prepare makes sure that files can be written below the root, as far as that is
// known before. Nothing but Close undoes it.
func (w *Writer) Prepare(ctx context.Context) error {
	return w.Do(ctx, func() error {
		_, err := w.open()
		return err
	})
}

// open returns the ingest directory. The first call makes it, after it removed
// those of killed processes.
func (w *Writer) open() (*ingest, error) {
	w.sweep()
	w.prep.Lock()
	defer w.prep.Unlock()
	if w.ingest == nil {
		in, err := openIngest(w.root)
		if err != nil {
			return nil, err
		}
		w.ingest = in
	}
	return w.ingest, nil
}

// sweep removes, once, what killed processes left.
func (w *Writer) sweep() {
	w.prep.Lock()
	defer w.prep.Unlock()
	if !w.swept {
		sweep(w.root, w.log)
		w.swept = true
	}
}

// publish gives a synced file its name, or discards it if the Writer is closed.
func (w *Writer) publish(t *temp) error {
	err := w.checkOpen()
	if err != nil {
		err = errors.Join(err, t.discard())
	} else {
		err = t.rename()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", t.name, err)
	}
	w.soil(path.Dir(t.name))
	return nil
}

// soil notes that a directory has entries that are not durable.
func (w *Writer) soil(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirty[dir] = true
}

// MakeDir makes the directory with that slash-separated path below the root, and
// those above it; Flush makes them durable. A symbolic link, or anything else
// that is not a directory, is errdefs.ErrInvalidArgument.
func (w *Writer) MakeDir(ctx context.Context, name string) error {
	return w.Do(ctx, func() error { return w.makeDir(path.Clean(name)) })
}

func (w *Writer) makeDir(name string) error {
	w.prep.Lock()
	defer w.prep.Unlock()
	return w.makeDirs(name)
}

func (w *Writer) makeDirs(name string) error {
	if w.known[name] {
		return nil
	}
	if err := w.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := mkdir(w.root, name); err != nil {
		return fmt.Errorf("making the directory %s: %w", name, cause(err))
	}
	dir, err := rootfile.OpenDir(w.root, name)
	if err != nil {
		return err
	}
	w.known[name] = true
	w.soil(path.Dir(name))
	return dir.Close()
}

// mkdir makes a directory that may be there already.
func mkdir(root *os.Root, name string) error {
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// MkdirAll makes a directory and its missing parents, and syncs the parents of
// those that it made.
func MkdirAll(name string) error {
	name = filepath.Clean(name)
	var missing []string
	for dir := name; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return err
		}
		missing = append(missing, dir)
	}
	for len(missing) > 0 {
		dir := missing[len(missing)-1]
		missing = missing[:len(missing)-1]
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncPath(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

func syncPath(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return syncDir(root, ".")
}

// syncDir makes the entries of a directory durable.
func syncDir(root *os.Root, name string) error {
	if name != "." {
		dir, err := rootfile.OpenDir(root, name)
		if err != nil {
			return err
		}
		defer dir.Close()
		root = dir
	}
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := SyncDirFile(f); err != nil {
		return fmt.Errorf("syncing the directory %s: %w", strings.TrimSuffix(root.Name(), "/."), err)
	}
	return nil
}

// syncFile makes the bytes of a file durable that is there.
func syncFile(root *os.Root, name string) error {
	f, err := rootfile.Open(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := SyncData(f); err != nil {
		return fmt.Errorf("syncing %s: %w", name, err)
	}
	return nil
}
