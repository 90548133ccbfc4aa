package contentstore_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// BenchmarkIngest writes images of 7 small blobs, each durably and with a name, in turns
// into both stores: what is reported is for each blob.
func BenchmarkIngest(b *testing.B) {
	for b.Loop() {
		mine, other := newOurs(b, filepath.Join(b.TempDir(), "dhow")), newTheirs(b, filepath.Join(b.TempDir(), "containerd"))
		var one, two time.Duration
		n := size()
		for i := range n {
			all := makeManifest(nameOf(i), "amd64", 5)
			one += took(func() { mine.write(b, map[string][]blob{nameOf(i): all}) })
			two += took(func() { other.write(b, nameOf(i), all) })
		}
		compare(b, "blob", one/time.Duration(7*n), two/time.Duration(7*n))
	}
}

// BenchmarkLarge writes an image of large layers from files, and does the least that
// has to be done: cp, sync and one pass of SHA-256.
func BenchmarkLarge(b *testing.B) {
	layer := int64(20 << 20)
	if long() {
		layer = 200 << 20
	}
	const layers = 8
	from := b.TempDir()
	var descs []ocispec.Descriptor
	for i := range layers {
		descs = append(descs, layerFile(b, filepath.Join(from, fmt.Sprint(i)), i, layer))
	}
	for b.Loop() {
		mine := newOurs(b, filepath.Join(b.TempDir(), "dhow"))
		one := took(func() { putFiles(b, mine, from, descs) })
		to := b.TempDir()
		two := took(func() {
			args := []string{"-r", from, to}
			for _, cmd := range []*exec.Cmd{exec.CommandContext(context.Background(), "cp", args...), exec.CommandContext(context.Background(), "sync", "-f", to)} {
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%s: %v: %s", cmd, err, out)
				}
			}
			for i := range descs {
				f, err := os.Open(filepath.Join(from, fmt.Sprint(i)))
				must(b, err)
				_, err = io.Copy(sha256.New(), f)
				must(b, err)
				must(b, f.Close())
			}
		})
		const ms = float64(time.Millisecond)
		b.ReportMetric(float64(one)/ms, "ms-image")
		b.ReportMetric(float64(two)/ms, "ms-cp-sync-hash")
		b.ReportMetric(float64(one)/float64(two), "ratio-image")
	}
}

// layerFile writes a file of random bytes.
func layerFile(b *testing.B, path string, seed int, size int64) ocispec.Descriptor {
	b.Helper()
	f, err := os.Create(path)
	must(b, err)
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{byte(seed)}), size)
	must(b, err)
	must(b, f.Sync())
	must(b, f.Close())
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.NewDigest(digest.SHA256, h), Size: size}
}

// putFiles writes layers at once, as a copy does, and publishes them.
func putFiles(b *testing.B, s *ours, from string, descs []ocispec.Descriptor) {
	b.Helper()
	ctx := context.Background()
	l, err := s.Lease(ctx, store.Lease{})
	must(b, err)
	batch, err := s.Begin(ctx, l.ID)
	must(b, err)
	var wg sync.WaitGroup
	for i, desc := range descs {
		wg.Go(func() {
			_, err := batch.Put(ctx, desc, image.RoleLayer, func(_ context.Context, at int64) (io.ReadCloser, error) {
				f, err := os.Open(filepath.Join(from, fmt.Sprint(i)))
				if err == nil {
					_, err = f.Seek(at, io.SeekStart)
				}
				return f, err
			})
			if err != nil {
				b.Error("Put:", err)
			}
		})
	}
	wg.Wait()
	_, err = batch.Publish(ctx)
	must(b, err)
	must(b, batch.Close())
}
