//go:build linux

package blobfile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system that is soon full.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk writes to disks of all sizes up to enough, in bytes or in files.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	contents := samples(1, 100, 3*Small+1, 5*Small, 0)
	total := 0
	for _, data := range contents {
		total += len(data)
	}
	steps := 12
	if os.Getenv("DHOW_TEST_LONG") != "" {
		steps = 200
	}
	var disks []string
	for i := range steps {
		disks = append(disks, fmt.Sprintf("size=%d", 4096+i*(total+total/4)/steps))
	}
	for i := range 15 {
		disks = append(disks, fmt.Sprintf("nr_inodes=%d", 6+i))
	}
	for _, options := range disks {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, options)
			d, err := Open(t.Context(), openRoot(t, dir), Options{})
			if err != nil {
				wantKind(t, "Open", err, errdefs.ErrResourceExhausted)
				return
			}
			defer d.Close()
			fillDisk(t, d, dir, contents)
		})
	}
}

// fillDisk ends with the disk large enough, and all contents there.
func fillDisk(t *testing.T, d *Dir, dir string, contents [][]byte) {
	t.Helper()
	var files []*Ingest
	var failed error
	for _, data := range contents {
		blob := digest.FromBytes(data)
		in := create(t, d, string(blob))
		if err := in.Fill(t.Context(), blob, int64(len(data)), opens(data)); err != nil {
			wantKind(t, "Fill", err, errdefs.ErrResourceExhausted)
			failed = err
		}
		files = append(files, in)
	}
	if failed == nil {
		if failed = d.Publish(t.Context(), files); failed != nil {
			wantKind(t, "Publish", failed, errdefs.ErrResourceExhausted)
		}
	}
	if failed == nil {
		for _, data := range contents {
			wantBlob(t, d, data)
		}
		return
	}
	wantTree(t, filepath.Join(dir, blobsName))
	for i, in := range files {
		if err := in.Close(); err != nil {
			wantKind(t, "Close", err, errdefs.ErrResourceExhausted)
		}
		if i%2 == 0 {
			if err := d.Abort(t.Context(), in.Ref()); err != nil {
				wantKind(t, "Abort", err, errdefs.ErrNotFound)
			}
		}
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=8m,nr_inodes=1000"); err != nil {
		t.Fatal(err)
	}
	publish(t, d, contents...)
	for _, data := range contents {
		wantBlob(t, d, data)
	}
	wantTree(t, filepath.Join(dir, ingestName))
}

// TestCollectingOnAFullDisk makes room where there is none.
func TestCollectingOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=1m")
	d := openDir(t, dir)
	contents := samples(5, Small+1, 3*Small)
	publish(t, d, contents...)
	rest := filepath.Join(dir, "rest")
	f, err := os.Create(rest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 4096); err == nil; {
		_, err = f.Write(chunk)
	}
	if n, err := d.Free(); n != 0 || err != nil {
		t.Errorf("Free: %d, %v", n, err)
	}
	if err := d.SetAside(digest.FromBytes(contents[0])); err != nil {
		t.Error(err)
	}
	if err := d.Trash([]digest.Digest{digest.FromBytes(contents[1])}); err != nil {
		t.Error(err)
	}
	if n, bytes, err := d.Empty(t.Context()); n != 1 || bytes != 3*Small || err != nil {
		t.Errorf("Empty: %d, %d, %v", n, bytes, err)
	}
	if n, err := d.Free(); n < 3*Small || err != nil {
		t.Errorf("Free: %d, %v", n, err)
	}
}
