package registry_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/registry"
)

// counted counts the bytes that are hashed.
type counted struct {
	hash.Cloner
	bytes *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return c.Cloner.Write(p)
}

func (c counted) Clone() (hash.Cloner, error) {
	clone, err := c.Cloner.Clone()
	return counted{clone, c.bytes}, err
}

// countHashed has all bytes counted of which a SHA-256 is made in this process, but for
// those who do not ask package crypto for it. Nothing else may run meanwhile.
func countHashed(t *testing.T) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	crypto.RegisterHash(crypto.SHA256, func() hash.Hash { return counted{sha256.New().(hash.Cloner), &n} })
	t.Cleanup(func() { crypto.RegisterHash(crypto.SHA256, sha256.New) })
	return &n
}

// shelf is a registry that has what is in a store, and takes all that is put without a
// look at it.
func shelf(s *testimage.Store, named ocispec.Descriptor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		switch r.Method {
		case http.MethodPost:
			w.Header().Set("Location", "/v2/upload/1")
			w.WriteHeader(http.StatusAccepted)
		case http.MethodPut:
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				w.WriteHeader(http.StatusCreated)
			}
		default:
			for _, d := range s.Digests() {
				if d.String() == name || d == named.Digest && name == "1" {
					if strings.Contains(r.URL.Path, "/manifests/") {
						w.Header().Set("Content-Type", named.MediaType)
					}
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.Get(d)))
					return
				}
			}
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// openLayout writes a store as a layout with an image, and others, and opens the image.
func openLayout(t testing.TB, s *testimage.Store, root ocispec.Descriptor, others ...testimage.Named) transport.Source {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	if err := s.WriteLayout(dir, append([]testimage.Named{{Name: "x", Desc: root}}, others...)...); err != nil {
		t.Fatal(err)
	}
	r, err := oci.Parse(dir + ":x")
	if err != nil {
		t.Fatal(err)
	}
	src, err := oci.OpenSource(t.Context(), r, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// bigImage is an image with a layer that is read by several ranges.
func bigImage(s *testimage.Store) (root, layer ocispec.Descriptor) {
	data := make([]byte, 40<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	root = s.Plain(ocispec.Platform{OS: "linux", Architecture: "amd64"}, string(data))
	root.Platform = nil
	for _, d := range s.Digests() {
		if n := len(s.Get(d)); n > len(data) {
			layer = ocispec.Descriptor{Digest: d, Size: int64(n)}
		}
	}
	return root, layer
}

// TestWhatIsHashed counts the bytes that are hashed for a copy: those of the blobs too,
// or where the destination verifies no blob's.
func TestWhatIsHashed(t *testing.T) {
	var s testimage.Store
	root, layer := bigImage(&s)
	sources := map[string]transport.Source{"layout": openLayout(t, &s, root)}
	from, to := serve(t, shelf(&s, root)), serve(t, shelf(&testimage.Store{}, root))
	var err error
	if sources["registry"], err = registry.OpenSource(t.Context(), from.ref(t, "a:1"), registry.Options{Client: newClient(t)}); err != nil {
		t.Fatal(err)
	}
	hashed := countHashed(t)
	for kind, src := range sources {
		for _, verify := range []blob.Verify{blob.VerifyHere, blob.VerifyAtDestination} {
			dst, err := registry.OpenDestination(t.Context(), to.ref(t, "b:1"), registry.Options{Client: newClient(t), Verify: verify})
			if err != nil {
				t.Fatal(err)
			}
			hashed.Store(0)
			rec, err := copy.Image(t.Context(), dst, src, plain)
			if err != nil {
				t.Fatal(err)
			}
			n := hashed.Load()
			switch atDestination := verify == blob.VerifyAtDestination; {
			case !atDestination && (n < layer.Size || n > layer.Size+layer.Size/100):
				t.Errorf("from a %s: %d bytes are hashed for a layer of %d", kind, n, layer.Size)
			case atDestination && n > 64<<10:
				t.Errorf("from a %s, verified at the destination: %d bytes are hashed", kind, n)
			}
			wantVerifiers(t, rec, verify)
		}
	}
}

// wantVerifiers checks what the receipt of a single image says of who has verified what:
// its config was read to know its platform.
func wantVerifiers(t *testing.T, rec *copy.Receipt, verify blob.Verify) {
	t.Helper()
	var sum int64
	for _, e := range rec.Entries {
		want := transport.VerifiedHere
		if verify == blob.VerifyAtDestination && e.Action == copy.Copied && e.Role == "layer" {
			want = transport.VerifiedAtDestination
			sum += e.Size
		}
		if e.Verifier != want {
			t.Errorf("%s %s was %s, and verified by %q; want %q", e.Role, e.Digest, e.Action, e.Verifier, want)
		}
	}
	if rec.Totals.BytesVerifiedAtDestination != sum {
		t.Errorf("totals %+v; want %d bytes verified at the destination", rec.Totals, sum)
	}
}

// TestVerifyAtDestination copies between registries that verify: what is right arrives,
// what is not is an error, and no name points at it.
func TestVerifyAtDestination(t *testing.T) {
	for name, handler := range servers {
		t.Run(name, func(t *testing.T) {
			h := serve(t, handler(t))
			var s testimage.Store
			good := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: 2})
			bad := s.Plain(ocispec.Platform{OS: "linux", Architecture: "arm64"}, "damaged")
			for _, d := range s.Digests() {
				if bytes.Contains(s.Get(d), []byte("damaged\x00")) {
					s.Set(d, bytes.ToUpper(s.Get(d)))
				}
			}
			opts := registry.Options{Client: newClient(t), Verify: blob.VerifyAtDestination}
			for tag, root := range map[string]ocispec.Descriptor{"good": good, "bad": bad} {
				dst, err := registry.OpenDestination(t.Context(), h.ref(t, "team/app:"+tag), opts)
				if err != nil {
					t.Fatal(err)
				}
				rec, err := copy.Image(t.Context(), dst, openLayout(t, &s, root), plain)
				if tag == "good" && err != nil || tag == "bad" && !errdefs.IsDataLoss(err) {
					t.Errorf("%s: %v", tag, err)
				}
				wantVerifiers(t, rec, blob.VerifyAtDestination)
				src, err := registry.OpenSource(t.Context(), h.ref(t, "team/app:"+tag), opts)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := src.Root(t.Context()); errdefs.IsNotFound(err) != (tag == "bad") {
					t.Errorf("%s: at the destination is %v", tag, err)
				}
			}
			if name == "ggcr" {
				return // does not mount
			}
			opts.MountFrom = h.ref(t, "team/app").Name
			wantVerifiers(t, between(t, h, "team/app:good", h, "team/other:good", plain, opts), blob.VerifyAtDestination)
		})
	}
}
