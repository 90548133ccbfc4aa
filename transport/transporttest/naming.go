package transporttest

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// namesMoveLast checks that nothing has the name before Commit.
func (f Factory) namesMoveLast(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	wantRoot(t, place, "")
	d := openDestination(t, place)
	wantRoot(t, place, "")
	store.put(t, d, root)
	wantRoot(t, place, "")
	Commit(t, d)
	wantRoot(t, place, "")
	Commit(t, d, transport.Naming{Desc: root})
	wantRoot(t, place, root.Digest)
}

// commitAgain checks that a second Commit of the same names changes nothing, be
// it of the same destination or of a new one.
func (f Factory) commitAgain(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	d := openDestination(t, place)
	store.put(t, d, root)
	Commit(t, d, transport.Naming{Desc: root})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, place.Files)
	d = openDestination(t, place)
	store.put(t, d, root)
	for range 2 {
		Commit(t, d, transport.Naming{Desc: root})
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if after := files(t, place.Files); !maps.Equal(before, after) {
		t.Errorf("files before: %v; after: %v", before, after)
	}
	wantRoot(t, place, root.Digest)
	store.wantGraph(t, openSource(t, place), root)
}

// commitMore checks that what one destination commits later is there beside what it has
// committed before.
func (f Factory) commitMore(t *testing.T) {
	skipIf(t, f.Cannot.Names)
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	d := openDestination(t, place)
	store.put(t, d, root)
	Commit(t, d, transport.Naming{Desc: root})
	tag, later := store.CosignTag(root, "sig")
	store.put(t, d, later)
	Commit(t, d, transport.Naming{Name: tag, Desc: later})
	wantRoot(t, place, root.Digest)
	src := openSource(t, place)
	lister, ok := src.(transport.Lister)
	if !ok {
		t.Fatal("the source is no transport.Lister")
	}
	if desc, err := lister.Resolve(t.Context(), tag); err != nil || desc.Digest != later.Digest {
		t.Errorf("Resolve of %q: %s, %v; want %s", tag, desc.Digest, err, later.Digest)
	}
	store.wantGraph(t, src, root)
	store.wantGraph(t, src, later)
}

// replaceName checks that a name moves from one image to another, and that
// Namer says so.
func (f Factory) replaceName(t *testing.T) {
	skipIf(t, f.Cannot.Replace)
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	for i, name := range []string{"first", "second"} {
		root := store.Image(testimage.Image{Platform: amd64(), Name: name})
		d := openDestination(t, place)
		namer, ok := d.(transport.Namer)
		if ok && i == 0 {
			if desc, err := namer.Named(t.Context(), ""); !errdefs.IsNotFound(err) {
				t.Errorf("Named of an empty place: %s, %v", desc.Digest, err)
			}
		}
		store.put(t, d, root)
		Commit(t, d, transport.Naming{Desc: root})
		wantRoot(t, place, root.Digest)
		store.wantGraph(t, openSource(t, place), root)
		if ok {
			if desc, err := namer.Named(t.Context(), ""); err != nil || desc.Digest != root.Digest {
				t.Errorf("Named: %s, %v; want %s", desc.Digest, err, root.Digest)
			}
		}
	}
}

// closeWithoutCommit checks that a destination that is given up moves no name.
func (f Factory) closeWithoutCommit(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	first := store.Image(testimage.Image{Platform: amd64(), Name: "first"})
	second := store.Image(testimage.Image{Platform: amd64(), Name: "second"})
	for _, want := range []digest.Digest{"", first.Digest} {
		d, err := place.Destination(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		store.put(t, d, second)
		if err := d.Close(); err != nil {
			t.Error("Close:", err)
		}
		wantRoot(t, place, want)
		store.write(t, place, first)
	}
}

// missingName checks the error for a name that is not there.
func (f Factory) missingName(t *testing.T) {
	place := f.New(t)
	if place.Missing == nil {
		t.Skip("the place has no names")
	}
	store := &source{Store: &testimage.Store{}}
	store.write(t, place, store.Image(testimage.Image{Platform: amd64()}))
	if desc, err := tryRoot(t.Context(), place.Missing); !errdefs.IsNotFound(err) {
		t.Errorf("Root: %s, %v; want not found", desc.Digest, err)
	}
}

// referrers checks that what refers to an image is found beside it.
func (f Factory) referrers(t *testing.T) {
	skipIf(t, f.Cannot.Referrers)
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	var want []digest.Digest
	names := []transport.Naming{{Desc: root}}
	d := openDestination(t, place)
	store.put(t, d, root)
	for _, payload := range []string{"one", "two"} {
		r := store.Referrer(root, "application/x.test", payload)
		want = append(want, r.Digest)
		store.put(t, d, r)
		names = append(names, transport.Naming{Desc: r, Subject: root.Digest})
	}
	ofReferrer := store.Referrer(store.desc(want[0]), "application/x.test", "three")
	store.put(t, d, ofReferrer)
	names = append(names, transport.Naming{Desc: ofReferrer, Subject: want[0]})
	Commit(t, d, names...)
	Commit(t, d, names...)

	wantRoot(t, place, root.Digest)
	src := openSource(t, place)
	lister, ok := src.(transport.Referrers)
	if !ok {
		t.Fatal("the source is no transport.Referrers")
	}
	for subject, want := range map[digest.Digest][]digest.Digest{
		root.Digest: want, want[0]: {ofReferrer.Digest}, want[1]: nil, digest.FromString("none"): nil,
	} {
		found, err := lister.Referrers(t.Context(), subject)
		if err != nil || found == nil {
			t.Errorf("Referrers of %s: %v, %v", subject, found, err)
		}
		var got []digest.Digest
		for _, desc := range found {
			got = append(got, desc.Digest)
			store.wantGraph(t, src, desc)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("Referrers of %s: %v; want %v", subject, got, want)
		}
	}
}

// desc returns a descriptor of a manifest in the store.
func (s *source) desc(d digest.Digest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(s.Get(d)))}
}

// names checks names beside the place's own.
func (f Factory) names(t *testing.T) {
	skipIf(t, f.Cannot.Names)
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	d := openDestination(t, place)
	store.put(t, d, root)
	naming := []transport.Naming{{Desc: root}}
	want := map[string]digest.Digest{}
	for _, kind := range []string{"sig", "att", "sbom"} {
		tag, desc := store.CosignTag(root, kind)
		store.put(t, d, desc)
		naming = append(naming, transport.Naming{Name: tag, Desc: desc})
		want[tag] = desc.Digest
	}
	if notes := Commit(t, d, naming...); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	wantRoot(t, place, root.Digest)
	lister, ok := openSource(t, place).(transport.Lister)
	if !ok {
		t.Fatal("the source is no transport.Lister")
	}
	seen := map[string]int{}
	if err := lister.Names(t.Context(), func(name string) bool { seen[name]++; return true }); err != nil {
		t.Error("Names:", err)
	}
	for name, digest := range want {
		if seen[name] != 1 {
			t.Errorf("%q was listed %d times", name, seen[name])
		}
		if desc, err := lister.Resolve(t.Context(), name); err != nil || desc.Digest != digest {
			t.Errorf("Resolve of %q: %s, %v; want %s", name, desc.Digest, err, digest)
		}
	}
	if _, err := lister.Resolve(t.Context(), "not-there"); !errdefs.IsNotFound(err) {
		t.Errorf("Resolve of a name that is not there: %v", err)
	}
	calls := 0
	if err := lister.Names(t.Context(), func(string) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("Names went on after false: %d calls, %v", calls, err)
	}
}

// signatures checks that signatures come back in order, of each manifest its own.
func (f Factory) signatures(t *testing.T) {
	skipIf(t, f.Cannot.Signatures)
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	want := map[digest.Digest][]transport.Signature{root.Digest: {transport.Signature("\x00sigstore-json\n{}"), transport.Signature("\x99pgp"), transport.Signature("\x99pgp")}}
	unsigned := root.Digest
	if f.Cannot.Lists == "" {
		instance := root
		unsigned = store.Image(testimage.Image{Platform: arm64()}).Digest
		root = store.Index(instance, store.Image(testimage.Image{Platform: arm64()}))
		want[root.Digest] = []transport.Signature{transport.Signature("of the list")}
	}
	d := openDestination(t, place)
	writer, ok := d.(transport.SignatureWriter)
	if !ok {
		t.Fatal("the destination is no transport.SignatureWriter")
	}
	store.put(t, d, root)
	for manifest, sigs := range want {
		if err := writer.PutSignatures(t.Context(), manifest, sigs); err != nil {
			t.Fatal("PutSignatures:", err)
		}
	}
	Commit(t, d, transport.Naming{Desc: root})
	reader, ok := openSource(t, place).(transport.SignatureReader)
	if !ok {
		t.Fatal("the source is no transport.SignatureReader")
	}
	for manifest, sigs := range want {
		got, err := reader.Signatures(t.Context(), manifest)
		if err != nil || !slices.EqualFunc(got, sigs, func(a, b transport.Signature) bool { return bytes.Equal(a, b) }) {
			t.Errorf("Signatures of %s: %q, %v; want %q", manifest, got, err, sigs)
		}
	}
	if len(want) > 1 {
		if got, err := reader.Signatures(t.Context(), unsigned); len(got) > 0 || got == nil || err != nil {
			t.Errorf("Signatures of an unsigned manifest: %q, %v", got, err)
		}
	}
}

// refusals checks that a destination that cannot hold something gives a reason.
func (f Factory) refusals(t *testing.T) {
	d := openDestination(t, f.New(t))
	var accepts transport.Accepts
	if a, ok := d.(transport.Acceptor); ok {
		accepts = a.Accepts()
	}
	_, writes := d.(transport.SignatureWriter)
	if cannot := accepts.NoSignatures != "" || !writes; cannot != (f.Cannot.Signatures != "") {
		t.Errorf("signatures: the destination says %q and writes them: %v; the factory says %q", accepts.NoSignatures, writes, f.Cannot.Signatures)
	}
	if (accepts.NoLists != "") != (f.Cannot.Lists != "") {
		t.Errorf("lists: the destination says %q, the factory %q", accepts.NoLists, f.Cannot.Lists)
	}
}
