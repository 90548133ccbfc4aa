//go:build unix

package openfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/openfile"
)

// A pipe is waited for until the context ends.
func TestOpenOfAPipe(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]int{"to read": os.O_RDONLY, "to write": os.O_WRONLY} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "pipe")
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := openfile.Open(ctx, path, flag); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("nobody has the other end: %v", err)
			}
			other, err := os.OpenFile(path, os.O_RDWR, 0) // lets whoever waits go on
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			f, err := openfile.Open(t.Context(), path, flag)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := openfile.Open(t.Context(), filepath.Join(t.TempDir(), "none"), os.O_RDONLY); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}
