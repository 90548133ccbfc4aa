package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// many makes stores of many images of two platforms, each with a base of two layers, of
// which there are some dozens, and two layers of its own.
type many struct {
	tb     testing.TB
	batch  store.Batch
	random *rand.Rand
	layer  int // bytes
}

const (
	manySeed  = 7
	manyBases = 50
)

func manyName(i int) string { return fmt.Sprintf("docker.io/team-%d/image-%d:v%d", i%17, i, i%5) }

// manyImages opens a store of n images whose layers have that size. With DHOW_BENCH_DIR it
// is made there once.
func manyImages(tb testing.TB, n, layer int) *embedded.Store {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "store")
	if kept := os.Getenv("DHOW_BENCH_DIR"); kept != "" {
		dir = filepath.Join(kept, fmt.Sprintf("service-%d-%d", n, layer))
	}
	_, err := os.Stat(dir)
	s, openErr := embedded.Open(context.Background(), dir, embedded.Options{})
	if openErr != nil {
		tb.Fatal(openErr)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err == nil {
		return s
	}
	lease, err := s.Lease(context.Background(), store.Lease{})
	if err != nil {
		tb.Fatal(err)
	}
	m := many{tb: tb, random: rand.New(rand.NewPCG(manySeed, manySeed)), layer: layer}
	if m.batch, err = s.Begin(context.Background(), lease.ID); err != nil {
		tb.Fatal(err)
	}
	const group = 200
	for from := 0; from < n; from += group {
		var moves []store.Move
		for i := from; i < min(from+group, n); i++ {
			moves = append(moves, store.Move{Name: manyName(i), To: m.image(i)})
		}
		if _, err := m.batch.Publish(context.Background(), moves...); err != nil {
			tb.Fatal(err)
		}
	}
	if err := m.batch.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := s.Release(context.Background(), lease.ID); err != nil {
		tb.Fatal(err)
	}
	if _, err := store.Collect(context.Background(), s); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (m *many) put(mediaType string, role image.Role, data []byte) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	_, err := m.batch.Put(context.Background(), desc, role, func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	})
	if err != nil {
		m.tb.Fatal(err)
	}
	return desc
}

func (m *many) document(mediaType string, role image.Role, v any) ocispec.Descriptor {
	data, err := json.Marshal(v)
	if err != nil {
		m.tb.Fatal(err)
	}
	return m.put(mediaType, role, data)
}

func (m *many) layerOf(what string) ocispec.Descriptor {
	data := append([]byte(what), bytes.Repeat([]byte{'.'}, m.layer)...)
	return m.put(ocispec.MediaTypeImageLayerGzip, image.RoleLayer, data)
}

// image makes an index and returns what a name of it points at.
func (m *many) image(i int) ocispec.Descriptor {
	base := m.random.IntN(manyBases)
	var entries []ocispec.Descriptor
	for _, arch := range []string{"amd64", "arm64"} {
		p := ocispec.Platform{OS: "linux", Architecture: arch}
		var layers []ocispec.Descriptor
		for l := range 4 {
			what := fmt.Sprintf("layer %d of base %d %s", l, base, arch)
			if l > 1 {
				what = fmt.Sprintf("layer %d of image %d %s", l, i, arch)
			}
			layers = append(layers, m.layerOf(what))
		}
		created := time.Unix(1_700_000_000+int64(m.random.IntN(1e7)), 0).UTC()
		config := m.document(ocispec.MediaTypeImageConfig, image.RoleConfig, ocispec.Image{
			Created: &created, Platform: p, RootFS: ocispec.RootFS{Type: "layers"},
			Config: ocispec.ImageConfig{Env: []string{"PATH=/usr/bin"}, Labels: map[string]string{"number": strconv.Itoa(i)}},
		})
		entry := m.document(ocispec.MediaTypeImageManifest, image.RoleManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
		})
		entry.Platform = &p
		entries = append(entries, entry)
	}
	return targetOf(m.document(ocispec.MediaTypeImageIndex, image.RoleIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	}))
}

// manySizes are numbers of images: more in the long tier.
func manySizes(short, long int) []int {
	if os.Getenv("DHOW_TEST_LONG") == "1" {
		return []int{short, long}
	}
	return []int{short}
}

// getOne gets an image by its name, with a platform.
func getOne(tb testing.TB, s *service.Service, i int) {
	tb.Helper()
	p := ocispec.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i%2]}
	img, err := s.Get(context.Background(), manyName(i), service.GetOptions{Platform: &p})
	if err != nil || img.Instance.Platform.Architecture != p.Architecture || len(img.Config) == 0 {
		tb.Fatal(img.Record, err)
	}
}

// BenchmarkGet gets images by name and platform, of 1,000 and of 100,000.
func BenchmarkGet(b *testing.B) {
	for _, n := range manySizes(1000, 100_000) {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := service.New(manyImages(b, n, 0), service.Options{})
			b.ReportAllocs()
			took := make([]time.Duration, 0, 1<<20)
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				getOne(b, s, i*7919%n)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "µs-median")
		})
	}
}

// listAll lists everything that a table of images shows.
func listAll(tb testing.TB, s *service.Service, n int) {
	tb.Helper()
	all, err := s.List(context.Background(), service.ListOptions{})
	if err != nil || len(all) != n {
		tb.Fatal(len(all), err)
	}
	if first := all[0]; len(first.Names) != 1 || first.Size == 0 || len(first.Instances) != 2 || first.Created.Before(all[n-1].Created) || first.Instances[1].Presence != service.Complete {
		tb.Fatal(first)
	}
}

// BenchmarkList lists 1,000 and 10,000 images, with small layers in the database and with
// layers in files.
func BenchmarkList(b *testing.B) {
	for _, layer := range []int{0, 70_000} {
		for _, n := range manySizes(1000, 10_000) {
			if layer > 0 && n > 1000 {
				continue // gigabytes
			}
			b.Run(fmt.Sprintf("%d/layer=%d", n, layer), func(b *testing.B) {
				s := service.New(manyImages(b, n, layer), service.Options{})
				b.ReportAllocs()
				for b.Loop() {
					listAll(b, s, n)
				}
			})
		}
	}
}
