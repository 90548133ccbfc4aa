package service_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// removeRow is what becomes of names: before and after are NAME=IMAGE, or @IMAGE for a
// dangling record; images are A, B and C, and P of which Q and R were built. In removed -x
// is a name that is untagged, and !X an image that is deleted.
type removeRow struct {
	before, ref    string
	opts           service.RemoveOptions
	after, removed string
	err            error
	text           string // in the error, or a warning
}

func removeTable() map[string]removeRow {
	force, noPrune := service.RemoveOptions{Force: true}, service.RemoveOptions{NoPrune: true}
	multiple := "conflict: unable to delete {A:12} (must be forced) - image is referenced in multiple repositories"
	return map[string]removeRow{
		// By name.
		"the only name":                       {before: "x:1=A y:1=B", ref: "x:1", after: "y:1=B", removed: "-x:1 !A"},
		"latest":                              {before: "x:latest=A", ref: "x", removed: "-x:latest !A"},
		"one of two":                          {before: "x:1=A x:2=A", ref: "x:1", after: "x:2=A", removed: "-x:1"},
		"one of two repositories":             {before: "x:1=A y:1=A", ref: "x:1", after: "y:1=A", removed: "-x:1"},
		"the last tag takes digests along":    {before: "x:1=A x@{A}=A", ref: "x:1", removed: "-x:1 -x@{A} !A"},
		"another tag keeps digests":           {before: "x:1=A x:2=A x@{A}=A", ref: "x:1", after: "x:2=A x@{A}=A", removed: "-x:1"},
		"but not those of another repository": {before: "x:1=A y@{A}=A", ref: "x:1", after: "y@{A}=A", removed: "-x:1"},
		"the last tag, beside a repository":   {before: "x:1=A x@{A}=A y:1=A", ref: "x:1", after: "y:1=A", removed: "-x:1 -x@{A}"},
		"a name with a digest":                {before: "x:1=A x@{A}=A", ref: "x@{A}", after: "x:1=A", removed: "-x@{A}"},
		"the only name, with a digest":        {before: "x@{A}=A", ref: "x@{A}", removed: "-x@{A} !A"},
		"a tag and its digest":                {before: "x:1=A x:2=A", ref: "x:1@{A}", after: "x:2=A", removed: "-x:1"},
		"a tag and another digest":            {before: "x:1=A y:1=B", ref: "x:1@{B}", after: "y:1=B", removed: "-x:1 !A", text: "points at {A}"},
		"a digest that a tag has":             {before: "x:1=A y:1=A", ref: "x@{A}", after: "y:1=A", removed: "-x:1"},
		"a digest that two tags have":         {before: "x:1=A x:2=A", ref: "x@{A}", after: "x:1=A x:2=A", err: errdefs.ErrConflict, text: "conflict: unable to delete {A:12} (must be forced)"},
		"a digest that two tags have, forced": {before: "x:1=A x:2=A y:1=A", ref: "x@{A}", opts: force, after: "y:1=A", removed: "-x:1 -x:2"},
		"a digest of another repository":      {before: "x:1=A y:1=B", ref: "x@{B}", after: "x:1=A y:1=B", err: errdefs.ErrNotFound, text: "No such image: x@{B}"},
		"no such name":                        {before: "x:1=A", ref: "x:2", after: "x:1=A", err: errdefs.ErrNotFound, text: "No such image: x:2"},
		"no name":                             {ref: "", err: errdefs.ErrInvalidArgument, text: "image name cannot be blank"},
		"bad syntax":                          {ref: "X", err: errdefs.ErrInvalidArgument},
		"a name that reads as an ID":          {before: "{A:6}:latest=B x:1=A", ref: "{A:6}", after: "x:1=A", removed: "-{A:6}:latest !B", text: "is taken for the name"},
		// By ID.
		"an ID":                                  {before: "x:1=A y:1=B", ref: "{A}", after: "y:1=B", removed: "-x:1 !A"},
		"a short ID":                             {before: "x:1=A y:1=B", ref: "{A:12}", after: "y:1=B", removed: "-x:1 !A"},
		"an ID with names in one repository":     {before: "x:1=A x:2=A x@{A}=A", ref: "{A}", removed: "-x:1 -x:2 -x@{A} !A"},
		"an ID with names in two":                {before: "x:1=A y:1=A", ref: "{A}", after: "x:1=A y:1=A", err: errdefs.ErrConflict, text: multiple},
		"an ID with names in two, forced":        {before: "y:1=A x:1=A", ref: "{A}", opts: force, removed: "-x:1 -y:1 !A"},
		"a dangling ID":                          {before: "@A", ref: "{A:12}", removed: "!A"},
		"the config of a manifest":               {before: "x:1=A", ref: "{A.config}", removed: "-x:1 !A"},
		"the config of a manifest in a list too": {before: "x:1=A l:1=L", ref: "{A.config}", after: "x:1=A l:1=L", err: errdefs.ErrConflict, text: "is in 2 images"},
		"a manifest in a list":                   {before: "l:1=L", ref: "{A}", opts: force, after: "l:1=L", err: errdefs.ErrConflict, text: "it is a part of l:1"},
		"a config in a list":                     {before: "l:1=L", ref: "{A.config:12}", after: "l:1=L", err: errdefs.ErrConflict, text: "it is a part of l:1"},
		"a manifest with a name, in a list too":  {before: "x:1=A l:1=L", ref: "{A}", after: "l:1=L", removed: "-x:1", text: "{A} stays: it is a part of l:1"},
		"that name, in two lists too":            {before: "x:1=A l:1=L l:2=L", ref: "x:1", after: "l:1=L l:2=L", removed: "-x:1", text: "it is a part of l:1, l:2"},
		"a dangling manifest, in a list too":     {before: "@A l:1=L", ref: "{A}", after: "l:1=L", text: "{A} stays: it is a part of l:1"},
		"no such ID":                             {ref: "sha256:{C#}", err: errdefs.ErrNotFound, text: "No such image: {C}"},
		// Children and parents.
		"a parent stays, dangling":             {before: "p:1=P q:1=Q", ref: "p:1", after: "@P q:1=Q", removed: "-p:1"},
		"a parent by its ID":                   {before: "p:1=P p:2=P q:1=Q", ref: "{P}", after: "@P q:1=Q", removed: "-p:1 -p:2"},
		"a parent with another name":           {before: "p:1=P p:2=P q:1=Q", ref: "p:1", after: "p:2=P q:1=Q", removed: "-p:1"},
		"a dangling parent":                    {before: "@P q:1=Q", ref: "{P:12}", opts: force, after: "@P q:1=Q", err: errdefs.ErrConflict, text: "(cannot be forced) - image has dependent child images"},
		"the last child takes a parent along":  {before: "@P q:1=Q", ref: "q:1", removed: "-q:1 !Q !P"},
		"unless it is kept":                    {before: "@P q:1=Q", ref: "q:1", opts: noPrune, after: "@P", removed: "-q:1 !Q"},
		"or has a name":                        {before: "p:1=P q:1=Q", ref: "q:1", after: "p:1=P", removed: "-q:1 !Q"},
		"or another child":                     {before: "@P q:1=Q r:1=R", ref: "q:1", after: "@P r:1=R", removed: "-q:1 !Q"},
		"the parent of a parent":               {before: "@P @Q s:1=S", ref: "s:1", removed: "-s:1 !S !Q !P"},
		"as far as nothing else is built upon": {before: "@P @Q r:1=R s:1=S", ref: "s:1", after: "@P r:1=R", removed: "-s:1 !S !Q"},
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	rows := removeTable()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRemoveWorld(t)
			w.before(t, row.before)
			done, err := w.Remove(t.Context(), w.fill(t, row.ref), row.opts)
			switch text := w.fill(t, row.text); {
			case row.err != nil && (!errors.Is(err, row.err) || !strings.Contains(err.Error(), text)):
				t.Errorf("error %v; want %v with %q", err, row.err, text)
			case row.err != nil && errdefs.IsConflict(err) && strings.Count(err.Error(), "conflict") != 1:
				t.Errorf("error %v; want it to say what it is once", err)
			case row.err == nil && err != nil:
				t.Error(err)
			case row.err == nil && !strings.Contains(strings.Join(done.Warnings, "; "), text):
				t.Errorf("warnings %q; want %q", done.Warnings, text)
			}
			if got, want := w.said(done.Removals), w.fill(t, row.removed); got != want {
				t.Errorf("removed %s; want %s", got, want)
			}
			w.wantRecords(t, row.after)
			w.wantContent(t)
		})
	}
}

// removeWorld has images by short names.
type removeWorld struct {
	*resolveWorld
	images map[string]ocispec.Descriptor
}

func newRemoveWorld(t *testing.T) *removeWorld {
	t.Helper()
	w := &removeWorld{&resolveWorld{newFixture(t, service.Options{}), map[string]digest.Digest{}}, map[string]ocispec.Descriptor{}}
	add := func(name string, desc ocispec.Descriptor) {
		w.images[name] = desc
		w.note(name, desc.Digest)
	}
	for _, name := range []string{"A", "B", "C"} {
		add(name, w.image(t, "linux/amd64", name))
		w.digests[name+".config"] = w.config(t, w.images[name])
	}
	add("L", w.src.Index(w.images["A"], w.image(t, "linux/arm64", "A")))
	for _, pair := range []string{"P:", "Q:P", "R:P", "S:Q"} {
		name, parent, _ := strings.Cut(pair, ":")
		config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","author":%q}`, name)
		if parent != "" {
			config = fmt.Sprintf(`{"os":"linux","architecture":"amd64","author":%q,"config":{"Labels":{"org.mobyproject.image.parent":%q}}}`, name, w.digests[parent+".config"])
		}
		add(name, w.bare(t, config, name))
		w.digests[name+".config"] = digest.FromString(config)
	}
	return w
}

// before writes records, as they are in tables.
func (w *removeWorld) before(t *testing.T, records string) {
	t.Helper()
	for rec := range strings.FieldsSeq(w.fill(t, records)) {
		if name, dangling := strings.CutPrefix(rec, "@"); dangling {
			w.put(t, w.images[name])
			continue
		}
		i := strings.LastIndex(rec, "=")
		w.put(t, w.images[rec[i+1:]], rec[:i])
	}
}

// called returns the short name of an image.
func (w *removeWorld) called(d digest.Digest) string {
	for name, desc := range w.images {
		if desc.Digest == d {
			return name
		}
	}
	return string(d)
}

func (w *removeWorld) said(all []service.Removal) string {
	var said []string
	for _, r := range all {
		if r.Untagged != "" {
			said = append(said, "-"+r.Untagged)
		}
		if r.Deleted != "" {
			said = append(said, "!"+w.called(r.Deleted))
		}
	}
	return strings.Join(said, " ")
}

func (w *removeWorld) wantRecords(t *testing.T, want string) {
	t.Helper()
	var got []string
	for _, rec := range w.records(t) {
		if rec.Dangling() {
			got = append(got, "@"+w.called(rec.Target.Digest))
			continue
		}
		got = append(got, service.Familiar(rec)+"="+w.called(rec.Target.Digest))
	}
	wanted := strings.Fields(w.fill(t, want))
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("records %s; want %s", got, wanted)
	}
}

// wantContent checks that there is all of the content of the records, and nothing else.
func (w *removeWorld) wantContent(t *testing.T) {
	t.Helper()
	want, got := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	for _, rec := range w.records(t) {
		for _, n := range nodesOf(t, w.src, rec.Target, nil) {
			want[n.Desc.Digest] = true
		}
	}
	err := w.store.Walk(t.Context(), "", func(b store.Blob) error {
		got[b.Digest] = true
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%d blobs, %v; want those %d of the records", len(got), err, len(want))
	}
}

// TestRemoveBothNames shows that an image is collected, and told to be deleted, also when
// its two names are removed at the same time.
func TestRemoveBothNames(t *testing.T) {
	t.Parallel()
	w := newRemoveWorld(t)
	for range 20 {
		w.before(t, "x:1=A x:2=A")
		var both sync.WaitGroup
		var done [2]service.Removed
		for i := range done {
			both.Go(func() {
				var err error
				if done[i], err = w.Remove(t.Context(), fmt.Sprintf("x:%d", i+1), service.RemoveOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if said := w.said(slices.Concat(done[0].Removals, done[1].Removals)); !strings.Contains(said, "!A") {
			t.Errorf("removed %s; want !A too", said)
		}
		w.wantContent(t)
	}
}
