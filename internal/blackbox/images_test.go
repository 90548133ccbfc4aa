package blackbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry"
)

// desk is a local store that is empty at first, and a registry with an image for three
// platforms.
type desk struct {
	local
	host  string // of the registry
	image string // the name of the image there
	// By architecture, and of some what attests that.
	arch, attests map[string]ocispec.Descriptor

	mu    sync.Mutex
	blobs []digest.Digest // that the registry was asked for
}

// The architectures of the image of a desk; all but the last have an attestation.
func deskArches() []string { return []string{"amd64", "arm64", "s390x"} }

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{local: local{dir: filepath.Join(t.TempDir(), "store")}, arch: map[string]ocispec.Descriptor{}, attests: map[string]ocispec.Descriptor{}}
	var entries, attestations []ocispec.Descriptor
	for i, arch := range deskArches() {
		d.arch[arch] = d.src.Plain(ocispec.Platform{OS: "linux", Architecture: arch}, "base", arch)
		entries = append(entries, d.arch[arch])
		if i < 2 {
			d.attests[arch] = d.src.Attestation(d.arch[arch])
			attestations = append(attestations, d.attests[arch])
		}
	}
	d.index = d.src.Index(append(entries, attestations...)...)
	inner := testregistry.Olareg(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, name, ok := strings.Cut(r.URL.Path, "/blobs/"); ok && r.Method == http.MethodGet {
			d.mu.Lock()
			d.blobs = append(d.blobs, digest.Digest(name))
			d.mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d.host = strings.TrimPrefix(server.URL, "http://")
	d.image = d.host + "/team/app:1"
	layout := filepath.Join(t.TempDir(), "layout")
	if err := d.src.WriteLayout(layout, testimage.Named{Name: "app", Desc: d.index}); err != nil {
		t.Fatal(err)
	}
	must(t, "copy", "-q", "--dest-tls-verify=false", "oci:"+layout+":app", "docker://"+d.image)
	return d
}

// must runs the binary on the store, which has to succeed, and returns its standard output.
func (d *desk) must(t *testing.T, args ...string) string {
	t.Helper()
	r := d.dhow(t, args...)
	if r.code != 0 {
		t.Fatalf("dhow %q: exit code %d: %s", args, r.code, r.errors)
	}
	return r.out
}

// pull pulls the image, or other platforms of it.
func (d *desk) pull(t *testing.T, args ...string) string {
	t.Helper()
	return d.must(t, append([]string{"pull", "-q", "--tls-verify=false", d.image}, args...)...)
}

// moved returns the blobs that the registry was asked for since the last time, sorted.
func (d *desk) moved() []digest.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.blobs
	d.blobs = nil
	slices.Sort(all)
	return all
}

// blobsOf returns the configs and layers of the instances for architectures and of what
// attests them, sorted, each once.
func (d *desk) blobsOf(t *testing.T, arches ...string) []digest.Digest {
	t.Helper()
	var all []digest.Digest
	for _, arch := range arches {
		for _, desc := range []ocispec.Descriptor{d.arch[arch], d.attests[arch]} {
			if desc.Digest == "" {
				continue
			}
			m := d.manifest(t, desc)
			all = append(all, m.Config.Digest)
			for _, l := range m.Layers {
				all = append(all, l.Digest)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// manifest returns a manifest.
func (d *desk) manifest(t *testing.T, desc ocispec.Descriptor) ocispec.Manifest {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(d.src.Get(desc.Digest), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
