package contentstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/metadata/boltutil"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/log"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// blob is a blob of a made-up image.
type blob struct {
	desc ocispec.Descriptor
	role image.Role
	data []byte
}

func newBlob(mediaType string, role image.Role, data []byte) blob {
	return blob{ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, role, data}
}

// link is a descriptor in JSON.
func (b blob) link() string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, b.desc.MediaType, b.desc.Digest, b.desc.Size)
}

// makeManifest makes a manifest, the last of its blobs, with a config and small layers.
func makeManifest(name, architecture string, layers int) []blob {
	all := []blob{newBlob(ocispec.MediaTypeImageConfig, image.RoleConfig,
		fmt.Appendf(nil, `{"architecture":%q,"os":"linux","author":%q,"rootfs":{"type":"layers","diff_ids":[]}}`, architecture, name))}
	var links []byte
	for i := range layers {
		layer := newBlob(ocispec.MediaTypeImageLayerGzip, image.RoleLayer, append(fmt.Appendf(nil, "%s %s %d", name, architecture, i), make([]byte, 1000)...))
		links = append(append(links, layer.link()...), ',')
		all = append(all, layer)
	}
	return append(all, newBlob(ocispec.MediaTypeImageManifest, image.RoleManifest,
		fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, all[0].link(), bytes.TrimSuffix(links, []byte(",")))))
}

// makeIndex makes an index of two platforms, the last of its five blobs; the others are
// config and manifest of each.
func makeIndex(name string) []blob {
	amd, arm := makeManifest(name, "amd64", 0), makeManifest(name, "arm64", 0)
	return append(append(amd, arm...), newBlob(ocispec.MediaTypeImageIndex, image.RoleIndex,
		fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%s]}`, ocispec.MediaTypeImageIndex, amd[1].link(), arm[1].link())))
}

func nameOf(i int) string { return fmt.Sprintf("docker.io/library/image-%d:latest", i) }

// ours is the embedded store.
type ours struct{ store.Store }

func newOurs(b *testing.B, dir string) *ours {
	b.Helper()
	s, err := embedded.Open(context.Background(), dir, embedded.Options{})
	if err != nil {
		b.Fatal("Open:", err)
	}
	b.Cleanup(func() { must(b, s.Close()) })
	return &ours{s}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// write writes images, some of them in one Publish, under a lease that is released.
func (s *ours) write(b *testing.B, named map[string][]blob) {
	b.Helper()
	ctx := context.Background()
	l, err := s.Lease(ctx, store.Lease{})
	must(b, err)
	batch, err := s.Begin(ctx, l.ID)
	must(b, err)
	var moves []store.Move
	for name, all := range named {
		for _, blob := range all {
			_, err := batch.Put(ctx, blob.desc, blob.role, func(context.Context, int64) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(blob.data)), nil
			})
			must(b, err)
		}
		moves = append(moves, store.Move{Name: name, To: all[len(all)-1].desc})
	}
	_, err = batch.Publish(ctx, moves...)
	must(b, errors.Join(err, batch.Close(), s.Release(ctx, l.ID)))
}

// theirs is containerd's local store with its metadata, as its daemon has them.
type theirs struct {
	ctx    context.Context
	db     *metadata.DB
	bolt   *bolt.DB
	images images.Store
	leases leases.Manager
}

func newTheirs(b *testing.B, dir string) *theirs {
	b.Helper()
	must(b, os.MkdirAll(dir, 0o700))
	must(b, log.SetLevel("error")) // not of each file system that cannot verify
	cs, err := local.NewStore(filepath.Join(dir, "content"))
	must(b, err)
	db, err := bolt.Open(filepath.Join(dir, "meta.db"), 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	s := &theirs{ctx: namespaces.WithNamespace(context.Background(), "bench"), db: metadata.NewDB(db, cs, nil), bolt: db}
	must(b, s.db.Init(s.ctx))
	s.images, s.leases = metadata.NewImageStore(s.db), metadata.NewLeaseManager(s.db)
	return s
}

// write writes an image under a lease that is released.
func (s *theirs) write(b *testing.B, name string, all []blob) {
	b.Helper()
	l, err := s.leases.Create(s.ctx, leases.WithRandomID())
	must(b, err)
	ctx := leases.WithLease(s.ctx, l.ID)
	labels := map[string]string{}
	for i, blob := range all {
		var opts []content.Opt
		if i == len(all)-1 {
			opts = append(opts, content.WithLabels(labels))
		}
		must(b, content.WriteBlob(ctx, s.db.ContentStore(), blob.desc.Digest.String(), bytes.NewReader(blob.data), blob.desc, opts...))
		labels[fmt.Sprint("containerd.io/gc.ref.content.", i)] = blob.desc.Digest.String()
	}
	_, err = s.images.Create(ctx, images.Image{Name: name, Target: all[len(all)-1].desc})
	must(b, errors.Join(err, s.leases.Delete(s.ctx, l)))
}

// name makes many names at once: their targets need not be there.
func (s *theirs) name(b *testing.B, targets map[string]ocispec.Descriptor) {
	b.Helper()
	must(b, s.bolt.Update(func(tx *bolt.Tx) error {
		ctx := boltutil.WithTransaction(s.ctx, tx)
		for name, target := range targets {
			if _, err := s.images.Create(ctx, images.Image{Name: name, Target: target}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// compare reports what both took for the same, in milliseconds, and the ratio.
func compare(b *testing.B, what string, ours, theirs time.Duration) {
	b.Helper()
	const ms = float64(time.Millisecond)
	b.ReportMetric(float64(ours)/ms, "ms-"+what)
	b.ReportMetric(float64(theirs)/ms, "ms-"+what+"-containerd")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio-"+what)
}

// long reports whether the numbers are to be those of the long tests.
func long() bool { return os.Getenv("DHOW_TEST_LONG") != "" }

// size is the number of images of 7 blobs that are written.
func size() int {
	if long() {
		return 2000
	}
	return 100
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// took measures.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
