package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport/registry"
)

// plain leaves out what is attached to an image.
var plain = copy.Options{NoReferrers: true, NoDigestTags: true}

// eleven is an image for 11 platforms of one layer each: 34 objects.
func eleven(s *testimage.Store) ocispec.Descriptor {
	var entries []ocispec.Descriptor
	for _, arch := range []string{"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "mipsle", "loong64", "mips"} {
		entries = append(entries, s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}))
	}
	return s.Index(entries...)
}

// push writes an image of a store to a registry, by way of a layout.
func push(t *testing.T, s *testimage.Store, root ocispec.Descriptor, to *host, name string) {
	t.Helper()
	pushWith(t, s, root, to, name, registry.Options{})
}

func pushWith(t *testing.T, s *testimage.Store, root ocispec.Descriptor, to *host, name string, how registry.Options) {
	t.Helper()
	src := openLayout(t, s, root)
	how.Client = newClient(t)
	dst, err := registry.OpenDestination(t.Context(), to.ref(t, name), how)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := copy.Image(t.Context(), dst, src, plain); err != nil {
		t.Fatal(err)
	}
}

// between copies from registry to registry, by a client of its own for each side.
func between(t *testing.T, from *host, fromName string, to *host, toName string, opts copy.Options, how registry.Options) *copy.Receipt {
	t.Helper()
	src, err := registry.OpenSource(t.Context(), from.ref(t, fromName), registry.Options{Client: newClient(t)})
	if err != nil {
		t.Fatal(err)
	}
	how.Client = newClient(t)
	dst, err := registry.OpenDestination(t.Context(), to.ref(t, toName), how)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := copy.Image(t.Context(), dst, src, opts)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestRequests counts what a copy from registry to registry asks. A registry that takes
// a small blob with the request that begins its upload is asked once for each, the
// others twice. HEAD is for the tag: whether there is anything to do.
func TestRequests(t *testing.T) {
	const blobs, manifests, head = 22, 12, 1
	for name, handler := range servers {
		t.Run(name, func(t *testing.T) {
			from, to := serve(t, handler(t)), serve(t, handler(t))
			var s testimage.Store
			root := eleven(&s)
			push(t, &s, root, from, "team/busybox:latest")
			from.asked()

			rec := between(t, from, "team/busybox:latest", to, "team/busybox:latest", plain, registry.Options{})
			if got := rec.Totals.Descriptors[copy.Copied]; got != 34 || rec.Root.Digest != root.Digest {
				t.Errorf("copied %v, root %s", rec.Totals, rec.Root.Digest)
			}
			wantRequests(t, "source, cold", from, 34)
			if asked := len(to.asked()); asked > 2*blobs+manifests+head || name == "distribution" && asked != 2*blobs+manifests+head {
				t.Errorf("destination, cold: %d requests", asked)
			}

			rec = between(t, from, "team/busybox:latest", to, "team/busybox:latest", plain, registry.Options{})
			if got := rec.Totals.Descriptors[copy.Reused]; got != 1 || rec.Totals.Descriptors[copy.Copied] > 0 {
				t.Errorf("again: %v", rec.Totals)
			}
			wantRequests(t, "source, nothing to do", from, 1)
			wantRequests(t, "destination, nothing to do", to, 1)
		})
	}
}

// TestRequestsOfSmallBlobs counts them for 19 blobs of 64 KiB and 4 manifests, one
// after the other.
func TestRequestsOfSmallBlobs(t *testing.T) {
	const blobs, manifests, head = 19, 4, 1
	for name, want := range map[string]int{
		"olareg":       blobs + manifests + head,
		"ggcr":         blobs + manifests + head,
		"distribution": 2*blobs + manifests + head,
	} {
		t.Run(name, func(t *testing.T) {
			from, to := serve(t, servers[name](t)), serve(t, servers[name](t))
			var s testimage.Store
			var entries []ocispec.Descriptor
			for i, arch := range []string{"amd64", "arm64", "s390x"} {
				entries = append(entries, s.Image(testimage.Image{
					Platform: ocispec.Platform{OS: "linux", Architecture: arch}, Layers: 5 + i%2, LayerSize: 60_000,
				}))
			}
			push(t, &s, s.Index(entries...), from, "team/app:1")
			from.asked()
			opts := plain
			opts.Parallel = 1
			between(t, from, "team/app:1", to, "team/app:1", opts, registry.Options{})
			wantRequests(t, "source", from, blobs+manifests)
			wantRequests(t, "destination", to, want)
		})
	}
}

// TestRequestsForAttached counts what is asked when there is nothing to do but to look
// for what was attached since: the referrers of each manifest and list, and the tags.
// Of a registry without the referrers API that is asked once.
func TestRequestsForAttached(t *testing.T) {
	const subjects = 12
	for name, want := range map[string]int{
		"olareg":       1 + 1 + subjects,
		"ggcr":         1 + 1 + subjects,
		"distribution": 1 + 1 + subjects + 1,
	} {
		t.Run(name, func(t *testing.T) {
			from, to := serve(t, servers[name](t)), serve(t, servers[name](t))
			var s testimage.Store
			push(t, &s, eleven(&s), from, "team/app:1")
			between(t, from, "team/app:1", to, "team/app:1", copy.Options{}, registry.Options{})
			from.asked()
			to.asked()
			rec := between(t, from, "team/app:1", to, "team/app:1", copy.Options{}, registry.Options{})
			if len(rec.Entries) != 1 || rec.Entries[0].Action != copy.Reused {
				t.Errorf("%+v", rec.Entries)
			}
			wantRequests(t, "source", from, want)
			wantRequests(t, "destination", to, 1)
		})
	}
}

func wantRequests(t *testing.T, what string, h *host, want int) {
	t.Helper()
	if asked := h.asked(); len(asked) != want {
		t.Errorf("%s: %d requests, want %d:\n%s", what, len(asked), want, strings.Join(asked, "\n"))
	}
}

// TestMount copies within a registry that mounts: no blob moves.
func TestMount(t *testing.T) {
	for _, name := range []string{"olareg", "distribution"} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, servers[name](t))
			var s testimage.Store
			push(t, &s, eleven(&s), h, "team/from:1")
			h.asked()
			rec := between(t, h, "team/from:1", h, "team/to:1", plain, registry.Options{MountFrom: h.ref(t, "team/from").Name})
			if got := rec.Totals.Descriptors[copy.Mounted]; got != 22 {
				t.Errorf("%v", rec.Totals)
			}
			for _, r := range h.asked() {
				if strings.HasPrefix(r, "GET") && strings.Contains(r, "/blobs/") || strings.HasPrefix(r, "PUT") && strings.Contains(r, "/blobs/") {
					t.Errorf("a blob moved: %s", r)
				}
			}
		})
	}
}

// TestAttached copies referrers and digest tags of a list and of an instance, with
// their own graphs, from registry to registry.
func TestAttached(t *testing.T) {
	for name, handler := range servers {
		t.Run(name, func(t *testing.T) {
			from, to := serve(t, handler(t)), serve(t, handler(t))
			var s testimage.Store
			im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
			root := s.Index(im)
			sbom := s.Referrer(root, "application/spdx+json", "sbom")
			onSBOM := s.Referrer(sbom, "application/x", "about the sbom")
			ofInstance := s.Referrer(im, "application/x", "of the instance")
			tag, tagged := s.CosignTag(im, "sig")
			src := openLayout(t, &s, root, testimage.Named{Desc: sbom}, testimage.Named{Desc: onSBOM},
				testimage.Named{Desc: ofInstance}, testimage.Named{Name: tag, Desc: tagged})
			dst, err := registry.OpenDestination(t.Context(), from.ref(t, "a:1"), registry.Options{Client: newClient(t)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := copy.Image(t.Context(), dst, src, copy.Options{}); err != nil {
				t.Fatal(err)
			}
			rec := between(t, from, "a:1", to, "b:2", copy.Options{}, registry.Options{})
			for _, d := range []ocispec.Descriptor{root, im, sbom, onSBOM, ofInstance, tagged} {
				if !slices.ContainsFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == d.Digest && e.Action == copy.Copied }) {
					t.Errorf("%s was not copied: %+v", d.Digest, rec.Entries)
				}
			}
			// A referrer that is added later arrives, though the root is the same.
			late := s.Referrer(root, "application/x", "late")
			repo, err := newClient(t).Repository(from.ref(t, "a:1").Name, hosts.Push)
			if err != nil {
				t.Fatal(err)
			}
			for _, blob := range []string{"{}", "late"} {
				desc := s.Put("application/octet-stream", []byte(blob))
				if _, err := repo.Blobs().Push(t.Context(), desc, opener(blob), pushOptions); err != nil {
					t.Fatal(err)
				}
			}
			if err := repo.Put(t.Context(), late, s.Get(late.Digest), late.Digest.String()); err != nil {
				t.Fatal(err)
			}
			if err := repo.AddReferrer(t.Context(), root.Digest, late); err != nil {
				t.Fatal(err)
			}
			rec = between(t, from, "a:1", to, "b:2", copy.Options{}, registry.Options{})
			if n := rec.Totals.Descriptors[copy.Copied]; n < 1 || n > 3 {
				t.Errorf("the late referrer: %s", fmt.Sprint(rec.Totals))
			}
		})
	}
}

// TestForeignLayersAreNotSentUnasked keeps layers from a registry that are to be had
// from their URLs. Distribution takes no manifest with URLs that it was not told of.
func TestForeignLayersAreNotSentUnasked(t *testing.T) {
	for name, how := range map[string]registry.Options{"unasked": {}, "asked": {IncludeForeign: true}} {
		t.Run(name, func(t *testing.T) {
			from, to := serve(t, servers["ggcr"](t)), serve(t, servers["ggcr"](t))
			var s testimage.Store
			layer := s.Put("application/vnd.oci.image.layer.nondistributable.v1.tar", []byte("of others"))
			layer.URLs = []string{"https://example.com/layer"}
			im := s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
				Config: s.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{}), Layers: []ocispec.Descriptor{layer},
			})
			pushWith(t, &s, im, from, "a:1", registry.Options{IncludeForeign: true})
			rec := between(t, from, "a:1", to, "b:1", plain, how)
			want := map[bool]copy.Action{false: copy.Skipped, true: copy.Copied}[how.IncludeForeign]
			if !slices.ContainsFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == layer.Digest && e.Action == want }) {
				t.Errorf("%+v", rec.Entries)
			}
			if rec.Root.Digest != im.Digest {
				t.Errorf("the root is %s", rec.Root.Digest)
			}
		})
	}
}
