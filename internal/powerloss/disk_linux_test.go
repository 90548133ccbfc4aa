package powerloss_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/internal/powerloss"
)

func TestMain(m *testing.M) { os.Exit(powerloss.Main(m)) }

// write writes a file, and syncs what is asked for.
func write(t *testing.T, dir, name string, data []byte, file, directory func(*os.File) error) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := file(f); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.Name(), f.Name()+".done"); err != nil {
		t.Fatal(err)
	}
	if err := directory(d); err != nil {
		t.Fatal(err)
	}
}

// TestCrash shows that a crash loses what was not synced, and nothing else.
func TestCrash(t *testing.T) {
	sync, not := (*os.File).Sync, func(*os.File) error { return nil }
	data := bytes.Repeat([]byte("dhow"), 50_000)
	for name, test := range map[string]struct {
		file, dir func(*os.File) error
		there     bool
	}{
		"nothing is synced":           {not, not, false},
		"the file and not its name":   {sync, not, false},
		"the file, and then its name": {sync, sync, true},
	} {
		t.Run(name, func(t *testing.T) {
			disk := powerloss.New(t, powerloss.Options{Size: 64 << 20, Mount: "commit=1000"})
			write(t, disk.Dir(), "blob", data, test.file, test.dir)
			image := disk.Crash(t)
			dir, unmount := image.Mount(t, "")
			got, err := os.ReadFile(filepath.Join(dir, "blob.done"))
			unmount()
			if there := err == nil; there != test.there || there && !bytes.Equal(got, data) {
				t.Errorf("there are %d bytes (%v) under the last name; want there %v", len(got), err, test.there)
			}
			again := powerloss.New(t, powerloss.Options{From: image})
			if found, err := os.ReadFile(filepath.Join(again.Dir(), "blob.done")); !bytes.Equal(found, got) {
				t.Errorf("a disk that begins with the image has %d bytes (%v)", len(found), err)
			}
		})
	}
}
