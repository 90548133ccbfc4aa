package embedded_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestBatchMemory: a batch of very many small blobs has few of them in memory, and all
// are there when it is published, and after that.
func TestBatchMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	src := &source{Store: &testimage.Store{}}
	b, _ := newBatch(t, s)
	const size, count = 64 << 10, 1000
	content := func(i int) []byte {
		data := bytes.Repeat([]byte{byte(i)}, size)
		binary.BigEndian.PutUint32(data, uint32(i))
		return data
	}
	before := heap()
	var all []digest.Digest
	for i := range count {
		data := content(i)
		desc := src.Put("text/plain", data)
		src.put(t, b, desc, image.RoleLayer)
		src.Set(desc.Digest, nil)
		all = append(all, desc.Digest)
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("a batch of %d MiB has %d MiB of memory", count*size>>20, grown>>20)
	}
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, b)
	for range 2 {
		for i, d := range all {
			if got, err := bytesOf(t, s, d); err != nil || !bytes.Equal(got, content(i)) {
				t.Fatalf("blob %d has %d bytes, %v", i, len(got), err)
			}
		}
		closeStore(t, s)
		s = openStore(t, dir, embedded.Options{})
	}
	if report, err := s.Check(t.Context(), embedded.CheckOptions{}); err != nil || !report.Sound() {
		t.Errorf("%+v, %v", report, err)
	}
	closeStore(t, s)
}

// bytesOf reads a blob.
func bytesOf(t *testing.T, s *embedded.Store, d digest.Digest) ([]byte, error) {
	t.Helper()
	r, err := s.Open(t.Context(), d, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// heap returns the bytes of memory that are used.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
