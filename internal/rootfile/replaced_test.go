//go:build unix

package rootfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// A file that is replaced again and again, as a writer of the same name does, can
// always be read.
func TestReadWhileReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	replace := func() error {
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte("data"), 0o644); err != nil {
			return err
		}
		return os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "file"))
	}
	if err := replace(); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := replace(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 20_000 {
		if data, err := rootfile.Read(root, "file", 4); err != nil || string(data) != "data" {
			t.Errorf("%q, %v", data, err)
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
