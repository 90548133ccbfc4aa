package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/internal/testregistry/distribution"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
)

// servers are the registries that images are pulled from and pushed to.
func servers() map[string]func(tb testing.TB) http.Handler {
	return map[string]func(tb testing.TB) http.Handler{
		"olareg":       testregistry.Olareg,
		"ggcr":         testregistry.GGCRWithReferrers,
		"distribution": distribution.New,
	}
}

// platforms are those of an image that has eleven.
func elevenPlatforms() []string {
	return []string{
		"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x", "linux/riscv64",
		"linux/mips64le", "linux/mipsle", "linux/loong64", "linux/mips",
	}
}

// remote is a registry that notes what it is asked.
type remote struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func serve(tb testing.TB, handler http.Handler) *remote {
	tb.Helper()
	r := &remote{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		said := req.Method + " " + req.URL.Path
		if from := req.Header.Get("Range"); from != "" {
			said += " " + from
		}
		r.mu.Lock()
		r.requests = append(r.requests, said)
		r.mu.Unlock()
		handler.ServeHTTP(w, req)
	}))
	tb.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

// asked returns the requests since the last time.
func (r *remote) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.requests
	r.requests = nil
	return asked
}

// fetched returns the digests of what was read, of requests, and each as often as it was.
func fetched(requests []string) []digest.Digest {
	found := []digest.Digest{}
	for _, said := range requests {
		path, isGet := strings.CutPrefix(said, "GET ")
		path, _, _ = strings.Cut(path, " ")
		last := path[strings.LastIndexByte(path, '/')+1:]
		if d, err := image.ParseDigest(last); isGet && err == nil && !strings.Contains(path, "/referrers/") {
			found = append(found, d)
		}
	}
	slices.Sort(found)
	return found
}

// reference is a reference to an image of the registry.
func (r *remote) reference(tb testing.TB, name string) registry.Reference {
	tb.Helper()
	parsed, err := registry.Parse("//" + r.Listener.Addr().String() + "/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

// source opens an image of the registry for reading.
func (r *remote) source(tb testing.TB, name string) transport.Source {
	tb.Helper()
	src, err := registry.OpenSource(tb.Context(), r.reference(tb, name), registry.Options{Client: newClient(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// destination opens it for writing.
func (r *remote) destination(tb testing.TB, name string) transport.Destination {
	tb.Helper()
	dst, err := registry.OpenDestination(tb.Context(), r.reference(tb, name), registry.Options{Client: newClient(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	return dst
}

// newClient returns a client that takes registries without TLS.
func newClient(tb testing.TB) *client.Client {
	tb.Helper()
	conf, err := hosts.Load(hosts.Options{Root: tb.TempDir(), Verify: hosts.VerifyNever})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := client.NewClient(client.Options{Hosts: conf})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// give writes an image, and what is tagged or refers to it, into the registry.
func (r *remote) give(tb testing.TB, src *testimage.Store, root ocispec.Descriptor, name string, referrers ...ocispec.Descriptor) {
	tb.Helper()
	from := &memorySource{Store: src, root: root, referrers: referrers}
	if _, err := copy.Image(tb.Context(), r.destination(tb, name), from, copy.Options{}); err != nil {
		tb.Fatal("writing a test image to the registry:", err)
	}
	r.asked()
}

// memorySource is an image in memory as a place.
type memorySource struct {
	*testimage.Store
	root      ocispec.Descriptor
	referrers []ocispec.Descriptor
}

func (s *memorySource) Root(context.Context) (ocispec.Descriptor, error) { return s.root, nil }

func (s *memorySource) Referrers(_ context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found := []ocispec.Descriptor{}
	for _, desc := range s.referrers {
		doc, err := image.Decode(s.Get(desc.Digest), image.Declared{Descriptor: desc.MediaType}, image.Limits{})
		if err != nil {
			return nil, err
		}
		if to := doc.Subject(); to != nil && to.Digest == subject {
			found = append(found, desc)
		}
	}
	return found, nil
}

func (s *memorySource) Close() error { return nil }

// digestsOf returns the digests of everything below and including roots, each once.
func digestsOf(tb testing.TB, src *testimage.Store, roots ...ocispec.Descriptor) []digest.Digest {
	tb.Helper()
	var all []digest.Digest
	for _, root := range roots {
		for _, n := range nodesOf(tb, src, root, nil) {
			all = append(all, n.Desc.Digest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// without returns the digests that are not among others.
func without(all []digest.Digest, others ...digest.Digest) []digest.Digest {
	return slices.DeleteFunc(slices.Clone(all), func(d digest.Digest) bool { return slices.Contains(others, d) })
}

// wantWhole checks that the registry has everything below what a tag points at.
func (r *remote) wantWhole(tb testing.TB, name string) ocispec.Descriptor {
	tb.Helper()
	src := r.source(tb, name)
	root, err := src.Root(tb.Context())
	if err != nil {
		tb.Error("what was pushed:", err)
		return root
	}
	_, err = image.Walker{Fetch: func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
		data, err := transport.Fetch(ctx, src, desc, 8<<20)
		if err != nil {
			return nil, err
		}
		doc, err := image.Decode(data, image.Declared{Descriptor: desc.MediaType}, image.Limits{})
		if err != nil {
			return nil, err
		}
		for _, e := range doc.Edges() {
			if e.Role == image.RoleConfig || e.Role == image.RoleLayer {
				if err := discard(ctx, src, e.Desc); err != nil {
					return nil, err
				}
			}
		}
		return data, nil
	}}.Walk(tb.Context(), root)
	if err != nil {
		tb.Errorf("what %s points at in the registry is not whole: %v", name, err)
	}
	return root
}

// discard reads and verifies a blob.
func discard(ctx context.Context, src transport.Source, desc ocispec.Descriptor) error {
	r, err := src.Open(ctx, desc, 0)
	if err != nil {
		return err
	}
	verified, err := transport.Verify(r, desc)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(io.Discard, verified)
	return errors.Join(err, verified.Close())
}

// wantBytes checks that a blob of the store is what the source has made.
func (f *fixture) wantBytes(tb testing.TB, digests ...digest.Digest) {
	tb.Helper()
	for _, d := range digests {
		r, err := f.store.Open(tb.Context(), d, 0)
		if err != nil {
			tb.Errorf("Open of %s: %v", d, err)
			continue
		}
		data, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(data, f.src.Get(d)) {
			tb.Errorf("%s: %d bytes, %v; want %d", d, len(data), err, len(f.src.Get(d)))
		}
	}
}
