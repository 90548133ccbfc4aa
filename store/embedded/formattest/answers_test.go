package formattest

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// wantAnswers asks a store for all that was read in its files.
func (w *world) wantAnswers(t *testing.T, r *read) {
	t.Helper()
	w.wantBlobs(t, r)
	w.wantNames(t, r)
	w.wantLeases(t, r)
	w.wantPartial(t, r)
}

func (w *world) wantBlobs(t *testing.T, r *read) {
	t.Helper()
	got := map[string]blob{}
	known := map[string]facts{}
	err := w.Walk(t.Context(), "", func(b store.Blob) error {
		f, err := w.Facts(t.Context(), b.Digest)
		if err == nil {
			known[string(b.Digest)] = factsOf(f)
		}
		found := blob{size: uint64(b.Size), created: b.Created, number: r.db.blobs[string(b.Digest)].number}
		data := readAll(t, w, b.Digest)
		if found.number > 0 {
			found.bytes = data
		}
		if int64(len(data)) != b.Size || b.Digest.Algorithm().FromString(data) != b.Digest {
			t.Errorf("%s has %d bytes; want %d", b.Digest, len(data), b.Size)
		}
		got[string(b.Digest)] = found
		return nil
	})
	if err != nil {
		t.Error("Walk:", err)
	}
	wantEqual(t, "blobs", r.db.blobs, got)
	want := map[string]facts{}
	for d, f := range r.db.facts {
		if config, there := r.db.facts[f.config]; there { // the only thing that is not in the facts themselves
			f.platform, f.created = config.platform, config.created
		}
		want[d] = f
	}
	wantEqual(t, "facts", want, known)
}

func readAll(t *testing.T, w *world, d digest.Digest) string {
	t.Helper()
	r, err := w.Open(t.Context(), d, 0)
	if err != nil {
		t.Errorf("Open of %s: %v", d, err)
		return ""
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("reading %s: %v", d, err)
	}
	return string(data)
}

func platformOf(p *ocispec.Platform) *platform {
	if p == nil {
		return nil
	}
	return &platform{p.OS, p.Architecture, p.Variant, p.OSVersion, p.OSFeatures}
}

func targetOf(d ocispec.Descriptor) target { return target{d.MediaType, string(d.Digest), d.Size} }

func factsOf(f store.Facts) facts {
	out := facts{
		f.MediaType, f.Size, platformOf(f.Platform), f.Created, string(f.Config), string(f.Subject), f.ArtifactType, string(f.Parent), nil,
	}
	for _, e := range f.Edges {
		d := e.Desc
		out.edges = append(out.edges, edge{
			string(e.Role), uint64(e.Index), targetOf(d), d.URLs, d.Annotations, string(d.Data), platformOf(d.Platform), d.ArtifactType,
		})
	}
	return out
}

func recordsOf(records []store.Record) map[string]record {
	all := map[string]record{}
	for _, r := range records {
		all[r.Key()] = record{targetOf(r.Target), r.Labels, r.Created, r.Updated}
	}
	return all
}

func (w *world) wantNames(t *testing.T, r *read) {
	t.Helper()
	view := func(f func(n store.NameReader) error) {
		if err := w.View(context.Background(), f); err != nil {
			t.Error("View:", err)
		}
	}
	view(func(n store.NameReader) error {
		records, err := n.List("", 0)
		wantEqual(t, "names", r.db.names, recordsOf(records))
		return err
	})
	digests := map[string]bool{string(digest.FromString("nothing")): true}
	for d, f := range r.db.facts {
		digests[d] = true
		for _, e := range f.edges {
			digests[e.target.digest] = true
		}
	}
	for d := range digests {
		view(func(n store.NameReader) error {
			for what, ask := range map[string]func(digest.Digest) ([]store.Record, error){"target": n.Target, "containing": n.Containing} {
				records, err := ask(digest.Digest(d))
				if err != nil {
					return err
				}
				wantEqual(t, what+" "+d, r.recordsFor(what, d), recordsOf(records))
			}
			children, err := n.Children(digest.Digest(d))
			wantEqual(t, "children of "+d, seconds(r.db.children, d), children)
			if err != nil {
				return err
			}
			_, hex, _ := strings.Cut(d, ":")
			found, err := n.Prefix(hex[:5], 0)
			if there := slices.Contains(found, digest.Digest(d)); there != (len(seconds(r.db.contained, d)) > 0) {
				t.Errorf("Prefix finds %s: %v", d, there)
			}
			return err
		})
	}
}

// seconds returns the digests that come after one in keys of two.
func seconds(keys map[string]string, first string) (all []digest.Digest) {
	for key := range keys {
		if d := (&decoder{rest: []byte(key)}); d.present() == first {
			all = append(all, digest.Digest(d.present()))
		}
	}
	slices.Sort(all)
	return all
}

// recordsFor finds records by the buckets of the index alone.
func (r *read) recordsFor(what, d string) map[string]record {
	roots := []digest.Digest{digest.Digest(d)}
	if what == "containing" {
		roots = seconds(r.db.contained, d)
	}
	all := map[string]record{}
	for key, rec := range r.db.targets {
		k := &decoder{rest: []byte(key)}
		if root := k.present(); slices.Contains(roots, digest.Digest(root)) {
			all[k.name()] = rec
		}
	}
	return all
}

func (w *world) wantLeases(t *testing.T, r *read) {
	t.Helper()
	leases, err := w.Leases(t.Context())
	if err != nil {
		t.Error("Leases:", err)
	}
	got, held := map[string]lease{}, map[string][]string{}
	for _, l := range leases {
		want := r.db.leases[l.ID]
		want.labels, want.created, want.until, want.process = l.Labels, l.Created, l.Until, l.Process
		got[l.ID] = want
		blobs, err := w.Held(t.Context(), l.ID)
		if err != nil {
			t.Error("Held:", err)
		}
		for _, d := range blobs {
			held[l.ID] = append(held[l.ID], string(d))
		}
	}
	wantEqual(t, "leases", r.db.leases, got)
	want := map[string][]string{}
	for id, l := range r.db.leases {
		for key, digests := range r.db.holds {
			if key[0] == l.number {
				want[id] = append(want[id], digests...)
			}
		}
		slices.Sort(want[id])
	}
	wantEqual(t, "held", want, held)
}

func (w *world) wantPartial(t *testing.T, r *read) {
	t.Helper()
	found, err := w.Partial(t.Context())
	if err != nil {
		t.Error("Partial:", err)
	}
	type entry struct {
		Offset  int64
		Started time.Time
	}
	got, want := map[string]entry{}, map[string]entry{}
	for _, p := range found {
		got[p.Ref] = entry{p.Offset, p.Started.UTC()}
	}
	for ref, p := range r.partial {
		for _, prefix := range []string{"put ", "ref "} {
			if rest, has := strings.CutPrefix(ref, prefix); has {
				ref = rest
				break
			}
		}
		want[ref] = entry{p.offset, time.Unix(0, p.started).UTC()}
	}
	wantEqual(t, "partial blobs", want, got)
}
