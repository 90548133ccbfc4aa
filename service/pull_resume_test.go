package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// cut is a registry that breaks the answer with one blob off in the middle, when all
// others have been fetched, and does not give it out any more until it is healed.
type cut struct {
	http.Handler
	blob   digest.Digest
	after  int
	others sync.WaitGroup // blobs to be fetched before

	mu     sync.Mutex
	healed bool
	broken bool
}

func (c *cut) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	healed, broken := c.healed, c.broken
	wanted := strings.HasSuffix(r.URL.Path, c.blob.String())
	if wanted && !healed {
		c.broken = true
	}
	c.mu.Unlock()
	switch {
	case healed || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/"):
		c.Handler.ServeHTTP(w, r)
	case wanted && broken:
		w.WriteHeader(http.StatusForbidden)
	case wanted:
		c.Handler.ServeHTTP(&short{w, c}, r)
		panic(http.ErrAbortHandler)
	default:
		c.Handler.ServeHTTP(w, r)
		c.others.Done()
	}
}

// heal has the registry give everything out from now on.
func (c *cut) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.healed = true
}

// short is an answer that is cut.
type short struct {
	http.ResponseWriter
	of *cut
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) >= s.of.after {
		_, _ = s.ResponseWriter.Write(p[:s.of.after])
		s.ResponseWriter.(http.Flusher).Flush()
		s.of.others.Wait()
		time.Sleep(100 * time.Millisecond) // until the client has written the others
		panic(http.ErrAbortHandler)
	}
	s.of.after -= len(p)
	return s.ResponseWriter.Write(p)
}

// TestPullGoesOn cuts a pull off in the middle of a large layer: the next one, of a store
// that was opened again even, begins where that ended, and fetches nothing else that has
// come.
func TestPullGoesOn(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened %v", reopened), func(t *testing.T) {
			t.Parallel()
			const half = 2 << 20
			dir := filepath.Join(t.TempDir(), "store")
			f, closeStore := openFixture(t, dir)
			root, layers := layered(f.src, 8<<20, 300<<10, 1000)
			broken := &cut{Handler: servers()["olareg"](t), blob: layers[0].Digest, after: half, healed: true}
			from := serve(t, broken)
			from.give(t, f.src, root, "app:1")
			broken.healed = false
			broken.others.Add(len(layers)) // the other layers, and the config
			pull := func() (service.Pulled, error) {
				return f.Pull(t.Context(), from.source(t, "app:1"), "app:1", service.PullOptions{All: true, NoReferrers: true})
			}

			p, err := pull()
			if err == nil || p.Receipt == nil {
				t.Fatalf("the pull was not cut off: %+v, %v", p, err)
			}
			if records := f.records(t); len(records) > 0 {
				t.Errorf("names have moved: %v", records)
			}
			if reopened {
				closeStore()
				src := f.src
				f, _ = openFixture(t, dir)
				f.src = src
			}
			from.asked()
			broken.heal()
			if p, err = pull(); err != nil {
				t.Fatal(err)
			}
			asked := from.asked()
			at := 0
			if _, err := fmt.Sscanf(asked[len(asked)-1], "GET /v2/app/blobs/"+layers[0].Digest.String()+" bytes=%d-", &at); err != nil || at <= half/2 || at > half {
				t.Errorf("the layer was gone on with at byte %d, %v; %d bytes had come", at, err, half)
			}
			if len(asked) != 3 || asked[0] != "GET /v2/app/manifests/1" {
				t.Errorf("requests for the list, the manifest and the rest of a layer:\n%s", strings.Join(asked, "\n"))
			}
			if p.Status != service.Newer || p.Target.Digest != root.Digest {
				t.Errorf("%s, %s", p.Status, p.Target.Digest)
			}
			f.wantBytes(t, digestsOf(t, f.src, root)...)
		})
	}
}

// openFixture opens a fixture on the store in a directory. It is closed at the end of the
// test, if not before.
func openFixture(tb testing.TB, dir string) (f *fixture, closeStore func()) {
	tb.Helper()
	s, err := embedded.Open(tb.Context(), dir, embedded.Options{})
	if err != nil {
		tb.Fatal("opening the store:", err)
	}
	closeStore = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			tb.Error("closing the store:", err)
		}
	})
	tb.Cleanup(closeStore)
	return &fixture{service.New(s, service.Options{}), s, &testimage.Store{}}, closeStore
}

// layered makes an index of an image with layers of these sizes, which cannot be compressed.
func layered(src *testimage.Store, sizes ...int) (root ocispec.Descriptor, layers []ocispec.Descriptor) {
	var diffIDs []digest.Digest
	for i, size := range sizes {
		layer, diffID := src.Layer(fmt.Sprint("layer ", i), size)
		layers, diffIDs = append(layers, layer), append(diffIDs, diffID)
	}
	config := src.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	})
	manifest := src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": layers,
	})
	manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	return src.Index(manifest), layers
}

// TestPullsWhileCollecting pulls twenty images that share layers at once, some of them
// twice, while names are removed, what dangles is pruned, and everything that nobody needs
// is collected over and over: what was pulled is there, whole.
func TestPullsWhileCollecting(t *testing.T) {
	t.Parallel()
	f, _ := openFixture(t, filepath.Join(t.TempDir(), "store"))
	from := serve(t, servers()["olareg"](t))
	const pulls = 20
	shared := make([]ocispec.Descriptor, 4)
	for i := range shared {
		shared[i], _ = f.src.Layer(fmt.Sprint("shared ", i), 200<<10)
	}
	var roots []ocispec.Descriptor
	for i := range pulls {
		own, _ := f.src.Layer(fmt.Sprint("own ", i), 100<<10)
		config := f.src.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Author: fmt.Sprint(i)})
		manifest := f.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config,
			"layers": []ocispec.Descriptor{shared[i%4], shared[(i+1)%4], own},
		})
		manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
		roots = append(roots, f.src.Index(manifest))
		from.give(t, f.src, roots[i], fmt.Sprintf("app:%d", i))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var beside, wg sync.WaitGroup
	steps := 0
	beside.Go(func() {
		for ; ctx.Err() == nil; steps++ {
			_, err := f.store.Collect(ctx)
			if steps%8 == 0 {
				_, pruneErr := f.Prune(ctx, service.PruneOptions{})
				err = errors.Join(err, pruneErr)
			}
			if err != nil && ctx.Err() == nil {
				t.Error("collecting:", err)
				return
			}
		}
	})
	for i, root := range roots {
		wg.Go(func() {
			name := fmt.Sprintf("app:%d", i)
			for round := range 3 {
				p, err := f.Pull(t.Context(), from.source(t, name), name, service.PullOptions{All: true, NoReferrers: true})
				if err != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				f.wantBytes(t, digestsOf(t, f.src, root)...)
				if i%2 == 0 && round < 2 { // so that the next round finds parts of it that are about to go
					f.remove(t, p.Name, i%4 == 0)
				}
			}
		})
	}
	wg.Wait()
	stop()
	beside.Wait()
	if _, err := store.Collect(t.Context(), f.store); err != nil {
		t.Fatal("Collect:", err)
	}
	f.wantBytes(t, digestsOf(t, f.src, roots...)...)
	if blobs := len(digestsOf(t, f.src, roots...)); f.blobs(t) != blobs {
		t.Errorf("%d blobs after everything was collected; want %d", f.blobs(t), blobs)
	}
	t.Logf("%d steps of collection", steps)
}

// remove removes a name, and what it pointed at is forgotten or dangles.
func (f *fixture) remove(tb testing.TB, name string, forget bool) {
	tb.Helper()
	if _, err := f.store.Move(tb.Context(), store.Move{Name: name, Forget: forget}); err != nil {
		tb.Error("Move:", err)
	}
}

// blobs counts what is visible.
func (f *fixture) blobs(tb testing.TB) (n int) {
	tb.Helper()
	if err := f.store.Walk(tb.Context(), "", func(store.Blob) error { n++; return nil }); err != nil {
		tb.Error("Walk:", err)
	}
	return n
}
