//go:build unix

package rootfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/internal/testtree"
)

// hostile makes a directory with one of each kind of entry.
func hostile(t *testing.T) *os.Root {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(
		os.WriteFile(at("file"), []byte("data"), 0o644),
		os.WriteFile(at("unreadable"), nil, 0),
		os.MkdirAll(at("d/e"), 0o755),
		os.WriteFile(at("d/e/file"), []byte("deep"), 0o644),
		os.Symlink("file", at("link")),
		os.Symlink("/etc/hostname", at("out")),
		os.Symlink("nowhere", at("dangling")),
		os.Symlink("d", at("dlink")),
		os.Symlink("e", at("d/elink")),
		unix.Mkfifo(at("fifo"), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	return testtree.OpenRoot(t, dir)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	root := hostile(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for name, want := range map[string]error{
			"file": nil, "d/e/file": nil,
			"none": errdefs.ErrNotFound, "d/none": errdefs.ErrNotFound, "none/file": errdefs.ErrNotFound,
			"d": errdefs.ErrInvalidArgument, "link": errdefs.ErrInvalidArgument, "out": errdefs.ErrInvalidArgument,
			"dangling": errdefs.ErrInvalidArgument, "fifo": errdefs.ErrInvalidArgument, "file/x": errdefs.ErrInvalidArgument,
			"dlink/e/file": errdefs.ErrInvalidArgument, "d/elink/file": errdefs.ErrInvalidArgument, "fifo/x": errdefs.ErrInvalidArgument,
		} {
			f, err := rootfile.Open(root, name)
			if err == nil {
				err = f.Close()
			}
			if want == nil && err != nil || !errors.Is(err, want) {
				t.Errorf("Open(%s): %v; want %v", name, err, want)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Open hangs")
	}
	if os.Geteuid() != 0 {
		if _, err := rootfile.Open(root, "unreadable"); !errdefs.IsPermissionDenied(err) {
			t.Errorf("Open of an unreadable file: %v", err)
		}
	}
	for _, name := range []string{"../x", "/etc/hostname", "d/../../x", ""} {
		if f, err := rootfile.Open(root, name); err == nil {
			t.Errorf("Open(%q) gave %s", name, f.Name())
		}
	}
}

func TestOpenFileMakesNothing(t *testing.T) {
	t.Parallel()
	root := hostile(t)
	if _, err := rootfile.OpenFile(root, "new", os.O_RDWR|os.O_CREATE); !errdefs.IsNotFound(err) {
		t.Errorf("OpenFile: %v", err)
	}
	f, err := rootfile.OpenFile(root, "file", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("D")); err != nil {
		t.Error(err)
	}
	_ = f.Close()
}

func TestOpenDir(t *testing.T) {
	t.Parallel()
	root := hostile(t)
	for name, want := range map[string]error{
		"d": nil, "d/e": nil, "none": errdefs.ErrNotFound, "file": errdefs.ErrInvalidArgument,
		"dlink": errdefs.ErrInvalidArgument, "d/elink": errdefs.ErrInvalidArgument, "fifo": errdefs.ErrInvalidArgument,
	} {
		dir, err := rootfile.OpenDir(root, name)
		if err == nil {
			err = dir.Close()
		}
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("OpenDir(%s): %v; want %v", name, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	root := hostile(t)
	if data, err := rootfile.Read(root, "file", 4); err != nil || string(data) != "data" {
		t.Errorf("Read: %q, %v", data, err)
	}
	if _, err := rootfile.Read(root, "file", 3); !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "3 bytes") {
		t.Errorf("Read beyond the limit: %v", err)
	}
	if _, err := rootfile.Read(root, "link", 100); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "a symbolic link") {
		t.Errorf("Read of a link: %v", err)
	}
}
