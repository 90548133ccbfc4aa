package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// BenchmarkPut puts blobs and commits them; its smaller sizes are written in one
// destination, as an image with many small layers is.
func BenchmarkPut(b *testing.B) {
	for _, bc := range []struct{ size, count, workers int }{
		{4 << 10, 2000, 1},
		{4 << 10, 2000, 4},
		{64 << 20, 1, 1},
		{64 << 20, 4, 4},
	} {
		b.Run(fmt.Sprintf("size=%d/count=%d/workers=%d", bc.size, bc.count, bc.workers), func(b *testing.B) {
			data := make([]byte, bc.size)
			b.SetBytes(int64(bc.size * bc.count))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				d := openDestination(b, filepath.Join(b.TempDir(), fmt.Sprint(i)))
				blobs := make(chan transport.Node, bc.count)
				for n := range bc.count {
					binary.LittleEndian.PutUint64(data, uint64(n))
					sum := digest.NewDigestFromBytes(digest.SHA256, sum256(data))
					blobs <- transport.Node{Desc: ocispec.Descriptor{Digest: sum, Size: int64(bc.size)}, Role: image.RoleLayer, Index: n}
				}
				close(blobs)
				b.StartTimer()
				putAll(b, d, blobs, data, bc.workers)
				transporttest.Commit(b, d)
				b.StopTimer()
				transporttest.Close(b, d)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bc.count), "ns/blob")
		})
	}
}

func sum256(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// putAll puts blobs that are data but for its first 8 bytes, the Index.
func putAll(b *testing.B, d *Destination, blobs <-chan transport.Node, data []byte, workers int) {
	b.Helper()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := range blobs {
				_, err := d.Put(b.Context(), n, func(context.Context, int64) (io.ReadCloser, error) {
					head := binary.LittleEndian.AppendUint64(nil, uint64(n.Index))
					return io.NopCloser(io.MultiReader(bytes.NewReader(head), bytes.NewReader(data[8:]))), nil
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkHas hashes a large blob that is there.
func BenchmarkHas(b *testing.B) {
	const size = 256 << 20
	data := make([]byte, size)
	desc := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: size}
	dir := filepath.Join(b.TempDir(), "layout")
	d := openDestination(b, dir)
	node := transport.Node{Desc: desc, Role: image.RoleLayer}
	if _, err := d.Put(b.Context(), node, func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		d := openDestination(b, dir)
		if have, err := d.Has(b.Context(), node); have != transport.Complete || err != nil {
			b.Fatal(have, err)
		}
	}
}

// BenchmarkCommit gives 2000 new names in a layout that has as many.
func BenchmarkCommit(b *testing.B) {
	d, names := oneImage(b, 4000)
	transporttest.Commit(b, d, names[:2000]...)
	index := filepath.Join(d.ref.Path, ocispec.ImageIndexFile)
	before := readFile(b, index)
	for b.Loop() {
		b.StopTimer()
		writeFile(b, before, index)
		b.StartTimer()
		transporttest.Commit(b, d, names[2000:]...)
	}
}
