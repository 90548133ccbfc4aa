package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
)

// pushCase is one push of an image for amd64, arm64 with an attestation, and s390x.
type pushCase struct {
	here      []string // platforms that are here; nil: all
	broken    []string // whose manifest is here but not a layer
	remote    []string // that the destination has
	ref       string   // what is pushed; empty: its name
	asked     []string
	part      service.PushedPart
	platforms []string // in what was pushed
	left      int      // instances and attestations that were not sent
	note      string   // in the notes; empty: there are none
	err       error
	text      string
}

func pushCases() map[string]pushCase {
	return map[string]pushCase{
		"whole": {part: service.PushedWhole, platforms: []string{"linux/amd64", "linux/arm64", "linux/s390x"}},
		"two of three are here": {
			here: []string{"linux/amd64", "linux/arm64"}, part: service.PushedReduced, platforms: []string{"linux/amd64", "linux/arm64"},
			left: 1, note: "of 3 of the 4 manifests was pushed in the place of the list",
		},
		"two of three are here, the third is there": {
			here: []string{"linux/amd64", "linux/arm64"}, remote: []string{"linux/s390x"}, part: service.PushedWhole,
			platforms: []string{"linux/amd64", "linux/arm64", "linux/s390x"}, left: 1,
			note: "was pushed as it is: the 1 of its 4 manifests that are not here were at the destination",
		},
		"none is here, all are there": {
			here: []string{}, remote: []string{"linux/amd64", "linux/arm64", "linux/s390x"}, part: service.PushedWhole,
			platforms: []string{"linux/amd64", "linux/arm64", "linux/s390x"}, left: 4, note: "the 4 of its 4 manifests that are not here",
		},
		"one of three is here": {
			here: []string{"linux/s390x"}, remote: []string{"linux/amd64"}, part: service.PushedOne, platforms: []string{"linux/s390x"},
			left: 3, note: "for linux/s390x was pushed in the place of the list",
		},
		"one is here, another one is not whole": {
			here: []string{"linux/s390x"}, broken: []string{"linux/amd64"}, part: service.PushedOne, platforms: []string{"linux/s390x"}, left: 3,
			note: "for linux/s390x was pushed in the place of the list",
		},
		"two are here, the third one is not whole": {
			here: []string{"linux/s390x", "linux/arm64"}, broken: []string{"linux/amd64"}, part: service.PushedReduced,
			platforms: []string{"linux/arm64", "linux/s390x"}, left: 1, note: "of 3 of the 4 manifests",
		},
		"none is here": {here: []string{}, err: errdefs.ErrNotFound, text: "was found but does not provide any platform"},
		"one is chosen": {
			asked: []string{"linux/arm64"}, part: service.PushedOne, platforms: []string{"linux/arm64"}, left: 3,
			note: "for linux/arm64 was pushed in the place of the list",
		},
		"two are chosen": {
			asked: []string{"linux/arm64", "linux/s390x"}, part: service.PushedReduced, platforms: []string{"linux/arm64", "linux/s390x"}, left: 1,
			note: "of 3 of the 4 manifests was pushed in the place of the list",
		},
		"all are chosen": {
			asked: []string{"linux/s390x", "linux/aarch64", "linux/amd64"}, part: service.PushedWhole, platforms: []string{"linux/amd64", "linux/arm64", "linux/s390x"},
		},
		"what is chosen is not here": {
			here: []string{"linux/amd64"}, asked: []string{"linux/arm64"}, err: errdefs.ErrNotFound,
			text: "was found but does not provide the specified platform (linux/arm64)",
		},
		"what is chosen is not whole": {
			here: []string{"linux/amd64"}, broken: []string{"linux/arm64"}, asked: []string{"linux/arm64"}, err: errdefs.ErrNotFound,
			text: "was found but does not provide the specified platform (linux/arm64)",
		},
		"a chosen variant is matched strictly": {
			asked: []string{"linux/arm/v7"}, err: errdefs.ErrNotFound, text: "was found but does not provide the specified platform (linux/arm/v7)",
		},
		"one manifest by its digest":  {ref: "linux/arm64", part: service.PushedWhole, platforms: []string{"linux/arm64"}},
		"what there is not":           {ref: "missing:1", err: errdefs.ErrNotFound, text: "No such image"},
		"a manifest that is not here": {here: []string{"linux/amd64"}, ref: "linux/arm64", err: errdefs.ErrNotFound, text: "is not in the store"},
		"a manifest that is not whole": {
			here: []string{"linux/amd64"}, broken: []string{"linux/arm64"}, ref: "linux/arm64", err: errdefs.ErrUnavailable, text: "is not here as a whole",
		},
	}
}

// TestPush pushes whole, partial and chosen images to three registries: what each run
// says is so, and whatever has the name there is there as a whole.
func TestPush(t *testing.T) {
	for server, handler := range servers() {
		for name, tc := range pushCases() {
			t.Run(server+"/"+name, func(t *testing.T) {
				t.Parallel()
				tc.run(t, handler(t))
			})
		}
	}
}

func (tc pushCase) run(t *testing.T, handler http.Handler) {
	t.Helper()
	f, to := newFixture(t, service.Options{}), serve(t, handler)
	manifests := map[string]ocispec.Descriptor{}
	var entries []ocispec.Descriptor
	for _, p := range []string{"linux/amd64", "linux/arm64", "linux/s390x"} {
		manifests[p] = f.image(t, p, "app")
		entries = append(entries, manifests[p])
	}
	attestation := f.src.Attestation(manifests["linux/arm64"])
	root := f.src.Index(append(entries, attestation)...)
	for i, p := range tc.remote {
		to.give(t, f.src, manifests[p], fmt.Sprintf("team/app:part%d", i))
		if p == "linux/arm64" {
			to.give(t, f.src, attestation, "team/app:attestation")
		}
	}
	f.putPart(t, root, func(n *image.Node) bool { return tc.leaves(n, manifests, attestation.Digest) }, "app:1")

	ref := "app:1"
	if tc.ref != "" {
		ref = tc.ref
	}
	if desc, ok := manifests[tc.ref]; ok {
		ref = desc.Digest.String()
	}
	p, err := f.Push(t.Context(), to.destination(t, "team/app:1"), ref, service.PushOptions{Platforms: platforms(t, tc.asked...)})
	if tc.err != nil {
		if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("error %v; want %v with %q", err, tc.err, tc.text)
		}
		if _, err := to.source(t, "team/app:1").Root(t.Context()); !errdefs.IsNotFound(err) {
			t.Errorf("something was pushed: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	tc.check(t, to, p, root, manifests)
}

// leaves reports whether a node is not here.
func (tc pushCase) leaves(n *image.Node, manifests map[string]ocispec.Descriptor, attestation digest.Digest) bool {
	if tc.here == nil {
		return false
	}
	for p, desc := range manifests {
		here := slices.Contains(tc.here, p)
		switch {
		case n.Desc.Digest == desc.Digest:
			return !here && !slices.Contains(tc.broken, p)
		case n.Desc.Digest == attestation && p == "linux/arm64":
			return !here
		case n.Parent == desc.Digest && n.Role == image.RoleLayer:
			return !here
		}
	}
	return false
}

func (tc pushCase) check(t *testing.T, to *remote, p service.Pushed, root ocispec.Descriptor, manifests map[string]ocispec.Descriptor) {
	t.Helper()
	there := to.wantWhole(t, "team/app:1")
	if p.Part != tc.part || p.Root.Digest != there.Digest || len(p.Left) != tc.left {
		t.Errorf("%s with root %s, %d left out; want %s with %s, and %d", p.Part, p.Root.Digest, len(p.Left), tc.part, there.Digest, tc.left)
	}
	if len(p.Elsewhere) > 0 != (len(tc.remote) > 0 && tc.part == service.PushedWhole) {
		t.Errorf("elsewhere: %v", p.Elsewhere)
	}
	if said := strings.Join(p.Notes, "\n"); (tc.note == "") != (said == "") || !strings.Contains(said, tc.note) {
		t.Errorf("notes: %q; want %q", said, tc.note)
	}
	if n := strings.Count(strings.Join(p.Notes, "\n"), root.Digest.String()); n > 1 {
		t.Errorf("notes: %q; what became of the list is in %d of them", p.Notes, n)
	}
	var found []string
	if !image.IsList(there.MediaType) {
		for name, desc := range manifests {
			if desc.Digest == there.Digest {
				found = append(found, name)
			}
		}
	} else {
		found = to.platforms(t, "team/app:1")
	}
	if !slices.Equal(found, tc.platforms) {
		t.Errorf("platforms at the destination: %v; want %v", found, tc.platforms)
	}
	if whole := there.Digest == root.Digest; tc.ref == "" && whole != (tc.part == service.PushedWhole) {
		t.Errorf("the digest is that of the image: %v, though the part is %s", whole, p.Part)
	}
}

// platforms returns those of the list that a tag points at, without attestations.
func (r *remote) platforms(tb testing.TB, name string) (found []string) {
	tb.Helper()
	src := r.source(tb, name)
	root, err := src.Root(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	data, err := transport.Fetch(tb.Context(), src, root, 1<<20)
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := image.Decode(data, image.Declared{Descriptor: root.MediaType}, image.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range doc.Edges() {
		if e.Role == image.RoleManifest {
			found = append(found, e.Desc.Platform.OS+"/"+e.Desc.Platform.Architecture)
		}
	}
	return found
}

// TestPushConflict checks that of two manifests for a platform none is guessed.
func TestPushConflict(t *testing.T) {
	t.Parallel()
	f, to := newFixture(t, service.Options{}), serve(t, servers()["olareg"](t))
	root := f.src.Index(f.image(t, "linux/amd64", "a"), f.image(t, "linux/amd64", "b"), f.image(t, "linux/arm64", "c"))
	f.put(t, root, "app:1")
	_, err := f.Push(t.Context(), to.destination(t, "app:1"), "app:1", service.PushOptions{Platforms: platforms(t, "linux/amd64")})
	if !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "multiple manifests found for platform linux/amd64") {
		t.Errorf("error %v", err)
	}
	if p, err := f.Push(t.Context(), to.destination(t, "app:1"), "app:1", service.PushOptions{}); err != nil || p.Part != service.PushedWhole {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestPushSigned checks that a signed list is not reduced, and that what is attached to
// what is pushed goes along.
func TestPushSigned(t *testing.T) {
	t.Parallel()
	f, to := newFixture(t, service.Options{}), serve(t, servers()["olareg"](t))
	amd, arm := f.image(t, "linux/amd64", "a"), f.image(t, "linux/arm64", "a")
	root := f.src.Index(amd, arm, f.image(t, "linux/s390x", "a"))
	signature := f.src.Referrer(root, "application/vnd.cncf.notary.signature", "signature")
	note := f.src.Referrer(amd, "application/vnd.example.note", "note")
	tag, signed := f.src.CosignTag(arm, "sbom")
	f.put(t, root, "app:1")
	f.putBlobs(t, signature)
	f.putBlobs(t, note)
	f.put(t, signed, "app:"+tag)

	_, err := f.Push(t.Context(), to.destination(t, "app:1"), "app:1", service.PushOptions{Platforms: platforms(t, "linux/amd64", "linux/arm64")})
	if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "signed") {
		t.Errorf("a signed list was reduced: %v", err)
	}
	p, err := f.Push(t.Context(), to.destination(t, "app:1"), "app:1", service.PushOptions{})
	if err != nil || p.Part != service.PushedWhole {
		t.Fatalf("%+v, %v", p, err)
	}
	src, err := registry.OpenSource(t.Context(), to.reference(t, "app:1"), registry.Options{Client: newClient(t)})
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[digest.Digest]digest.Digest{root.Digest: signature.Digest, amd.Digest: note.Digest} {
		if found, err := src.Referrers(t.Context(), subject); err != nil || len(found) != 1 || found[0].Digest != want {
			t.Errorf("referrers of %s: %v, %v", subject, found, err)
		}
	}
	if desc, err := src.Resolve(t.Context(), tag); err != nil || desc.Digest != signed.Digest {
		t.Errorf("%s: %s, %v", tag, desc.Digest, err)
	}
}

// TestPushAgain checks that what is there is not sent again, and that events tell of it.
func TestPushAgain(t *testing.T) {
	t.Parallel()
	f, to := newFixture(t, service.Options{}), serve(t, servers()["olareg"](t))
	f.put(t, f.index(t, "a", "linux/amd64", "linux/arm64"), "app:1")
	events, err := f.Events(t.Context(), service.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var sent []int
	for range 2 {
		p, err := f.Push(t.Context(), to.destination(t, "app:1"), "app:1", service.PushOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, p.Copied)
	}
	if !slices.Equal(sent, []int{7, 0}) {
		t.Errorf("sent %v descriptors; want 7 and none", sent)
	}
	for e := range events {
		if e.Action != service.ActionPush || e.ID != "app:1" {
			t.Errorf("event %+v", e)
		}
		break
	}
	if leases, err := f.store.Leases(t.Context()); err != nil || len(leases) > 0 {
		t.Errorf("leases are left: %v, %v", leases, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Push(ctx, to.destination(t, "app:2"), "app:1", service.PushOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a push that was cancelled: %v", err)
	}
}
