package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// made is a blob of an image that was made up.
type made struct {
	desc ocispec.Descriptor
	role image.Role
	data []byte
}

func makeBlob(mediaType string, role image.Role, data []byte) made {
	return made{ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, role, data}
}

func makeJSON(tb testing.TB, mediaType string, role image.Role, v any) made {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return makeBlob(mediaType, role, data)
}

// makeManifest makes a manifest with a config and so many small layers of its own, all
// of them in order, the manifest last.
func makeManifest(tb testing.TB, name, arch string, layers int) []made {
	tb.Helper()
	var all []made
	var descs []ocispec.Descriptor
	for i := range layers {
		all = append(all, makeBlob(ocispec.MediaTypeImageLayerGzip, image.RoleLayer, fmt.Appendf(nil, "layer %d of %s %s%s", i, name, arch, strings.Repeat(".", 1000))))
		descs = append(descs, all[i].desc)
	}
	config := makeJSON(tb, ocispec.MediaTypeImageConfig, image.RoleConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: arch}, Config: ocispec.ImageConfig{Labels: map[string]string{"name": name}},
		RootFS: ocispec.RootFS{Type: "layers"},
	})
	manifest := makeJSON(tb, ocispec.MediaTypeImageManifest, image.RoleManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config.desc, Layers: descs,
	})
	return append(all, config, manifest)
}

// makeIndex makes an index of two platforms without layers: five blobs, the index last.
func makeIndex(tb testing.TB, name string) []made {
	tb.Helper()
	amd, arm := makeManifest(tb, name, "amd64", 0), makeManifest(tb, name, "arm64", 0)
	index := makeJSON(tb, ocispec.MediaTypeImageIndex, image.RoleIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{amd[len(amd)-1].desc, arm[len(arm)-1].desc},
	})
	return append(append(amd, arm...), index)
}

// putAll puts blobs into a batch.
func putAll(tb testing.TB, b store.Batch, all []made) {
	tb.Helper()
	for _, m := range all {
		_, err := b.Put(context.Background(), m.desc, m.role, func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(m.data)), nil
		})
		if err != nil {
			tb.Fatal("Put:", err)
		}
	}
}

func imageName(i int) string { return fmt.Sprintf("docker.io/library/image-%d:latest", i) }

// ingest writes images of 7 small blobs, each published by itself, and returns them.
func ingest(tb testing.TB, s *embedded.Store, n int) {
	tb.Helper()
	b, lease := newBatch(tb, s)
	for i := range n {
		all := makeManifest(tb, imageName(i), "amd64", 5)
		putAll(tb, b, all)
		if _, err := b.Publish(context.Background(), store.Move{Name: imageName(i), To: all[len(all)-1].desc}); err != nil {
			tb.Fatal("Publish:", err)
		}
	}
	closeStore(tb, b)
	if err := s.Release(context.Background(), lease); err != nil {
		tb.Error("Release:", err)
	}
}

// BenchmarkIngest writes 2,000 images of 7 small blobs, each with its own Publish.
func BenchmarkIngest(b *testing.B) {
	for b.Loop() {
		s := openStore(b, filepath.Join(b.TempDir(), "store"), embedded.Options{})
		start := time.Now()
		ingest(b, s, 2000)
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000/14000, "ms/blob")
		closeStore(b, s)
	}
}

// BenchmarkCollect collects 14,000 blobs of which none, half or all have lost their
// names.
func BenchmarkCollect(b *testing.B) {
	for _, gone := range []int{0, 1000, 2000} {
		b.Run(fmt.Sprintf("gone=%d", 7*gone), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := openStore(b, filepath.Join(b.TempDir(), "store"), embedded.Options{})
				ingest(b, s, 2000)
				if _, err := store.Collect(context.Background(), s); err != nil {
					b.Fatal(err)
				}
				var moves []store.Move
				for i := range gone {
					moves = append(moves, store.Move{Name: imageName(i), Forget: true})
				}
				if _, err := s.Move(context.Background(), moves...); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				c, err := store.Collect(context.Background(), s)
				if err != nil || c.Blobs != 7*gone {
					b.Fatal(c, err)
				}
				b.ReportMetric(float64(c.Longest.Microseconds())/1000, "ms-longest")
				b.StopTimer()
				closeStore(b, s)
				b.StartTimer()
			}
		})
	}
}

// fill makes a store of so many indexes of two platforms, or takes the one that is in
// the directory of DHOW_BENCH_DIR.
func fill(b *testing.B, n int) (dir string) {
	b.Helper()
	dir = filepath.Join(b.TempDir(), "store")
	if kept := os.Getenv("DHOW_BENCH_DIR"); kept != "" {
		dir = filepath.Join(kept, strconv.Itoa(n))
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	s := openStore(b, dir, embedded.Options{})
	defer closeStore(b, s)
	batch, lease := newBatch(b, s)
	const group = 200
	for from := 0; from < n; from += group {
		var moves []store.Move
		for i := from; i < min(from+group, n); i++ {
			all := makeIndex(b, imageName(i))
			putAll(b, batch, all)
			moves = append(moves, store.Move{Name: imageName(i), To: all[len(all)-1].desc})
		}
		if _, err := batch.Publish(context.Background(), moves...); err != nil {
			b.Fatal("Publish:", err)
		}
	}
	closeStore(b, batch)
	if err := s.Release(context.Background(), lease); err != nil {
		b.Error(err)
	}
	if _, err := store.Collect(context.Background(), s); err != nil {
		b.Error(err)
	}
	return dir
}

// lookups are the ways in which an image is found.
var lookups = map[string]func(r store.NameReader, name string, all []made) ([]store.Record, error){
	"name": func(r store.NameReader, name string, _ []made) ([]store.Record, error) {
		rec, err := r.Get(name)
		return []store.Record{rec}, err
	},
	"target": func(r store.NameReader, _ string, all []made) ([]store.Record, error) {
		return r.Target(all[4].desc.Digest)
	},
	"manifest": func(r store.NameReader, _ string, all []made) ([]store.Record, error) {
		return r.Containing(all[1].desc.Digest)
	},
	"config": func(r store.NameReader, _ string, all []made) ([]store.Record, error) {
		return r.Containing(all[2].desc.Digest)
	},
	"id": func(r store.NameReader, _ string, all []made) ([]store.Record, error) {
		found, err := r.Prefix(all[4].desc.Digest.Encoded()[:12], 2)
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("%d digests, %w", len(found), err)
		}
		return r.Target(found[0])
	},
}

// BenchmarkLookup finds images among many, each in a View of its own. With
// DHOW_TEST_LONG it does so among 100,000.
func BenchmarkLookup(b *testing.B) {
	sizes := []int{1000}
	if os.Getenv("DHOW_TEST_LONG") != "" {
		sizes = append(sizes, 100_000)
	}
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkLookup(b, n) })
	}
}

func benchmarkLookup(b *testing.B, n int) {
	b.Helper()
	dir := fill(b, n)
	start := time.Now()
	s := openStore(b, dir, embedded.Options{})
	defer closeStore(b, s)
	opened := time.Since(start)
	images := make([][]made, min(n, 5000))
	for i := range images {
		images[i] = makeIndex(b, imageName(i*(n/len(images))))
	}
	for name, find := range lookups {
		b.Run(name, func(b *testing.B) {
			took := make([]time.Duration, 0, 1<<20)
			for i := 0; b.Loop(); i++ {
				at := i * 7919 % len(images)
				name := imageName(at * (n / len(images)))
				start := time.Now()
				err := s.View(context.Background(), func(r store.NameReader) error {
					found, err := find(r, name, images[at])
					if err == nil && (len(found) != 1 || found[0].Name != name) {
						err = fmt.Errorf("found %v", found)
					}
					return err
				})
				took = append(took, time.Since(start))
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(median(took).Nanoseconds())/1000, "µs-median")
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			time.Sleep(0)
		}
		b.ReportMetric(float64(opened.Microseconds())/1000, "ms-open")
		b.ReportMetric(float64(anonymous(b))/1e6, "MB-anon")
	})
}

func median(all []time.Duration) time.Duration {
	sorted := append([]time.Duration{}, all...)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// anonymous returns how much anonymous memory this process has.
func anonymous(tb testing.TB) int64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			return kb * 1024
		}
	}
	return 0
}
