package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/internal/testregistry/fault"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/registry"
)

// damaging serves a registry's content, with another first byte of layers.
func damaging(h http.Handler, layers []ocispec.Descriptor) http.Handler {
	return fault.New(h, fault.Fault{Damage: true, Of: func(d digest.Digest) bool {
		return slices.ContainsFunc(layers, func(l ocispec.Descriptor) bool { return l.Digest == d })
	}})
}

// TestMirrorThatDamages copies by way of a mirror whose layers are not what they are
// called: each is read once more, from the registry. One that is damaged there too is
// damaged.
func TestMirrorThatDamages(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	root := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: 3})
	var m ocispec.Manifest
	if err := json.Unmarshal(s.Get(root.Digest), &m); err != nil {
		t.Fatal(err)
	}
	store := testregistry.Olareg(t)
	push(t, &s, root, serve(t, store), "team/app:1")
	for _, row := range []struct {
		name         string
		mirror, home []ocispec.Descriptor // layers that are damaged
		asked        int                  // of the registry, for layers
		kind         error
	}{
		{name: "no layer"},
		{name: "a layer", mirror: m.Layers[1:2], asked: 1},
		{name: "all layers", mirror: m.Layers, asked: 3},
		{name: "a layer, at the registry as well", mirror: m.Layers[:1], home: m.Layers[:1], asked: 1, kind: errdefs.ErrDataLoss},
	} {
		for _, to := range []string{"layout", "registry"} {
			t.Run(row.name+" to a "+to, func(t *testing.T) {
				t.Parallel()
				mirror, home := serve(t, damaging(store, row.mirror)), serve(t, damaging(store, row.home))
				src, err := registry.OpenSource(t.Context(), home.ref(t, "team/app:1"), registry.Options{Client: mirrored(t, home, mirror)})
				if err != nil {
					t.Fatal(err)
				}
				_, err = copy.Image(t.Context(), destination(t, to), src, plain)
				if row.kind == nil && err != nil || row.kind != nil && !errdefs.IsDataLoss(err) {
					t.Errorf("%v, want %v", err, row.kind)
				}
				asked := 0
				for _, r := range home.asked() {
					if strings.Contains(r, "/blobs/") {
						asked++
					}
				}
				if asked != row.asked {
					t.Errorf("the registry was asked for %d layers, want %d", asked, row.asked)
				}
			})
		}
	}
}

// mirrored returns a client for a registry with a mirror, both without TLS.
func mirrored(t *testing.T, home, mirror *host) *client.Client {
	t.Helper()
	at := func(h *host) string { return strings.TrimPrefix(h.URL, "http://") }
	file := filepath.Join(t.TempDir(), "registries.conf")
	text := fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n[[registry.mirror]]\nlocation = %q\ninsecure = true\n", at(home), at(mirror))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := hosts.Load(hosts.Options{RegistriesConf: file, CertsDirs: []string{}, Root: t.TempDir(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(client.Options{Hosts: conf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// destination opens a new place of a kind.
func destination(t *testing.T, kind string) transport.Destination {
	t.Helper()
	if kind == "registry" {
		d, err := registry.OpenDestination(t.Context(), serve(t, testregistry.Olareg(t)).ref(t, "copy:1"), registry.Options{Client: newClient(t)})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	r, err := oci.Parse(filepath.Join(t.TempDir(), "layout") + ":x")
	if err != nil {
		t.Fatal(err)
	}
	d, err := oci.OpenDestination(t.Context(), r, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
