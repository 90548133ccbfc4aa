package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Remove removes a file; that there is none is no error. Flush makes it durable.
func (w *Writer) Remove(ctx context.Context, name string) error {
	return w.Do(ctx, func() error {
		if err := w.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", name, err)
		}
		w.mu.Lock()
		delete(w.written, name)
		w.mu.Unlock()
		w.soil(path.Dir(name))
		return nil
	})
}
