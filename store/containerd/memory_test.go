package containerd

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// TestBatchMemory shows that a batch of very many small blobs has few of them in memory,
// and few open streams, and that all are there when it is published.
func TestBatchMemory(t *testing.T) { //nolint:paralleltest // the memory of others would count
	d := running(t)
	s := connect(t, d, newNamespace())
	var src testimage.Store
	b := begin(t, s)
	const size, count = 64 << 10, 700
	content := func(i int) []byte {
		data := bytes.Repeat([]byte{byte(i)}, size)
		binary.BigEndian.PutUint32(data, uint32(i))
		return data
	}
	before := heap()
	var all []digest.Digest
	for i := range count {
		desc := src.Put(ocispec.MediaTypeImageLayer, content(i))
		if i%2 == 0 {
			putLayer(t, b, &src, desc)
		} else {
			writeLayer(t, b, desc, content(i))
		}
		src.Set(desc.Digest, nil)
		all = append(all, desc.Digest)
	}
	root := putImage(t, b, &src) // documents too
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("a batch of %d MiB has %d MiB of memory", count*size>>20, grown>>20)
	}
	if open := s.ingests.streams.Load(); open != maxStreams {
		t.Errorf("%d streams are open; want %d of %d", open, maxStreams, count)
	}
	if partial, err := s.Partial(t.Context()); len(partial) != 0 || err != nil {
		t.Errorf("Partial has %d of what is complete: %v", len(partial), err)
	}
	if _, err := b.Publish(t.Context(), store.Move{Name: busybox, To: target(root)}); err != nil {
		t.Fatal("Publish:", err)
	}
	for i, d := range all {
		wantBytes(t, s, d, content(i))
	}
	if err := s.Release(t.Context(), b.(*batch).lease); err != nil {
		t.Fatal("Release:", err)
	}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	for _, d := range src.Digests() { // of the image
		if want := src.Get(d); want != nil {
			wantBytes(t, s, d, want)
		}
	}
	if open, left := s.ingests.streams.Load(), b.(*batch).inMemory; open != 0 || left != 0 {
		t.Errorf("after Publish %d streams are open, and %d bytes in memory", open, left)
	}
}

// putImage puts an image.
func putImage(t *testing.T, b store.Batch, src *testimage.Store) ocispec.Descriptor {
	t.Helper()
	root := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	facts, err := derive(src.Get(root.Digest), root.MediaType)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append([]image.Edge{{Desc: root, Role: image.RoleManifest}}, facts.Edges...) {
		if _, err := b.Put(t.Context(), e.Desc, e.Role, opener(src, e.Desc)); err != nil {
			t.Fatal("Put:", err)
		}
	}
	return root
}

// writeLayer writes a layer as it comes.
func writeLayer(t *testing.T, b store.Batch, desc ocispec.Descriptor, data []byte) {
	t.Helper()
	w, err := b.Writer(t.Context(), desc.Digest.String())
	if err != nil {
		t.Fatal("Writer:", err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal("Write:", err)
	}
	if err := w.Commit(t.Context(), desc, image.RoleLayer); err != nil {
		t.Fatal("Commit:", err)
	}
}

// heap returns the bytes of memory that are used.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
