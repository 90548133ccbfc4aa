package archive

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/dhowhq/dhow/transport/transporttest"
)

// TestSectionsOfFiles reads parts of a file at once, and has the kernel copy one.
func TestSectionsOfFiles(t *testing.T) {
	t.Parallel()
	data := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), data)
	f, err := os.Open(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inner := io.NewSectionReader(io.NewSectionReader(f, 100, 5<<20-200), 11, 4<<20)
	want := data[111 : 111+4<<20]
	first, second := readerOf(inner, 0), readerOf(inner, 1000)
	defer first.Close()
	head := make([]byte, 500)
	if _, err := io.ReadFull(first, head); err != nil || !bytes.Equal(head, want[:500]) {
		t.Errorf("the beginning: %v", err)
	}
	if rest, err := io.ReadAll(second); err != nil || !bytes.Equal(rest, want[1000:]) {
		t.Errorf("from 1000 on: %d bytes, %v", len(rest), err)
	}
	transporttest.Close(t, second)
	if tail, err := io.ReadAll(readerOf(inner, 4<<20-10)); err != nil || !bytes.Equal(tail, want[4<<20-10:]) {
		t.Errorf("the end: %d bytes, %v", len(tail), err)
	}
	copier, ok := first.(interface {
		CopyTo(dst *os.File, n int64) (int64, error)
	})
	if !ok {
		if runtime.GOOS == "linux" {
			t.Fatal("the kernel cannot copy it")
		}
		t.Skip("the kernel cannot copy it")
	}
	to, err := os.Create(filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, n := range []int64{1 << 20, 8 << 20, 1} {
		if _, err := copier.CopyTo(to, n); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, filepath.Join(dir, "b")); !bytes.Equal(got, want[500:]) {
		t.Errorf("the kernel copied %d bytes, want %d", len(got), len(want)-500)
	}

	third := readerOf(inner, 0)
	defer third.Close()
	if err := os.Truncate(filepath.Join(dir, "a"), 2<<20); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, third); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a file that was cut: %d bytes, %v", n, err)
	}
}
