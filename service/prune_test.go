package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// addLabelled adds images that were created in other years and have labels: A in 2020 with
// kind=a and keep, B in 2022 with kind=b, C without a time and without labels.
func (w *removeWorld) addLabelled(t *testing.T) {
	t.Helper()
	for name, config := range map[string]string{
		"A": `{"os":"linux","architecture":"amd64","created":"2020-01-01T00:00:00Z","config":{"Labels":{"kind":"a","keep":""}}}`,
		"B": `{"os":"linux","architecture":"amd64","created":"2022-01-01T00:00:00Z","config":{"Labels":{"kind":"b"}}}`,
		"C": `{"os":"linux","architecture":"amd64"}`,
	} {
		w.images[name] = w.bare(t, config, name)
		w.note(name, w.images[name].Digest, ".config", digest.FromString(config))
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	const three = "@A @B x:1=C"
	for name, row := range map[string]struct {
		before  string
		opts    service.PruneOptions
		after   string
		removed string // names and targets; of what is gone as content only these
	}{
		"dangling":                        {before: three, after: "x:1=C", removed: "-A -B !A !B"},
		"nothing dangles":                 {before: "x:1=C", after: "x:1=C"},
		"an empty store":                  {},
		"all":                             {before: "@A x:1=C y:2=B y:1=B", opts: service.PruneOptions{All: true}, removed: "-A -x:1 -y:1 -y:2 !A !B !C"},
		"what was created before":         {before: three, opts: service.PruneOptions{Until: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}, after: "@B x:1=C", removed: "-A !A"},
		"just then is not before":         {before: three, opts: service.PruneOptions{Until: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}, after: "@A @B x:1=C"},
		"what does not say when":          {before: three, opts: service.PruneOptions{All: true, Until: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}, after: "@A @B", removed: "-x:1 !C"},
		"with a label":                    {before: three, opts: service.PruneOptions{Labels: []string{"kind"}}, after: "x:1=C", removed: "-A -B !A !B"},
		"with a label and its value":      {before: three, opts: service.PruneOptions{Labels: []string{"kind=a"}}, after: "@B x:1=C", removed: "-A !A"},
		"with two labels":                 {before: three, opts: service.PruneOptions{Labels: []string{"kind", "keep="}}, after: "@B x:1=C", removed: "-A !A"},
		"with a value that nobody has":    {before: three, opts: service.PruneOptions{Labels: []string{"kind=c"}}, after: three},
		"without a label":                 {before: three, opts: service.PruneOptions{All: true, NotLabels: []string{"keep"}}, after: "@A", removed: "-B -x:1 !B !C"},
		"without either of two":           {before: three, opts: service.PruneOptions{All: true, NotLabels: []string{"keep", "kind=b"}}, after: "@A @B", removed: "-x:1 !C"},
		"label, and time":                 {before: three, opts: service.PruneOptions{Labels: []string{"kind"}, Until: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}, after: "@B x:1=C", removed: "-A !A"},
		"a parent of what stays":          {before: "@P q:1=Q", after: "@P q:1=Q"},
		"a parent of what goes":           {before: "@P @Q", removed: "-P -Q !P !Q"},
		"the parent of a parent":          {before: "@P @Q s:1=S", after: "@P @Q s:1=S"},
		"a manifest in a list that stays": {before: "@A l:1=L", after: "l:1=L", removed: "-A"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRemoveWorld(t)
			if !strings.Contains(row.before, "=L") {
				w.addLabelled(t)
			}
			w.before(t, row.before)
			done, err := w.Prune(t.Context(), row.opts)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, r := range done.Removals {
				switch {
				case r.Untagged != "":
					said = append(said, "-"+w.called(digest.Digest(r.Untagged)))
				case len(w.called(r.Deleted)) == 1:
					said = append(said, "!"+w.called(r.Deleted))
				}
				if r.Deleted != "" && w.has(t, r.Deleted) {
					t.Errorf("%s is said to be gone", r.Deleted)
				}
			}
			want := strings.Fields(row.removed)
			slices.Sort(said) // the order of dangling ones follows their digests
			slices.Sort(want)
			if !slices.Equal(said, want) {
				t.Errorf("removed %s; want %s", said, want)
			}
			if strings.Contains(row.removed, "!") != (done.Reclaimed > 0) {
				t.Errorf("%d bytes reclaimed", done.Reclaimed)
			}
			w.wantRecords(t, row.after)
			w.wantContent(t)
		})
	}
}

// TestPruneReport checks the order of what was done, and that it adds up.
func TestPruneReport(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	one, two := f.index(t, "one", "linux/amd64", "linux/arm64"), f.index(t, "two", "linux/amd64")
	f.put(t, two, "b:2", "a:1")
	f.put(t, one, "c:3")
	garbage := f.image(t, "linux/s390x", "garbage")
	f.putBlobs(t, garbage)
	bytes := map[digest.Digest]int64{}
	if err := f.store.Walk(t.Context(), "", func(b store.Blob) error { bytes[b.Digest] = b.Size; return nil }); err != nil {
		t.Fatal(err)
	}
	done, err := f.Prune(t.Context(), service.PruneOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, size := range bytes {
		total += size
	}
	if done.Reclaimed != total {
		t.Errorf("%d bytes reclaimed of %d", done.Reclaimed, total)
	}
	var names []string
	gone := map[digest.Digest]bool{}
	for i, r := range done.Removals {
		if r.Untagged != "" {
			names = append(names, r.Untagged)
			if len(names) != i+1 {
				t.Errorf("%s comes after content", r.Untagged)
			}
			continue
		}
		if gone[r.Deleted] || bytes[r.Deleted] == 0 {
			t.Errorf("%s is said to be gone twice, or never was", r.Deleted)
		}
		gone[r.Deleted] = true
	}
	for _, n := range nodesOf(t, f.src, garbage, nil) {
		delete(bytes, n.Desc.Digest) // nobody's
	}
	if strings.Join(names, " ") != "a:1 b:2 c:3" || !maps.EqualFunc(bytes, gone, func(int64, bool) bool { return true }) {
		t.Errorf("%s and %d blobs; want the names in order and %d", names, len(gone), len(bytes))
	}
}

// pausedStore is a store whose collections wait.
type pausedStore struct {
	store.Store
	began, goOn chan struct{}
}

func (s pausedStore) Collect(ctx context.Context) (store.Collected, error) {
	s.began <- struct{}{}
	<-s.goOn
	return s.Store.Collect(ctx)
}

func TestPruneOneAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	paused := pausedStore{f.store, make(chan struct{}), make(chan struct{})}
	s := service.New(paused, service.Options{})
	ended := make(chan error)
	go func() {
		_, err := s.Prune(t.Context(), service.PruneOptions{})
		ended <- err
	}()
	<-paused.began
	if _, err := s.Prune(t.Context(), service.PruneOptions{}); !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "a prune operation is already running") {
		t.Errorf("error %v; want that one is running", err)
	}
	close(paused.goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	go func() { <-paused.began }()
	if _, err := s.Prune(t.Context(), service.PruneOptions{}); err != nil {
		t.Error("the next one:", err)
	}
}

// TestPruneDuringIngests checks that a prune breaks nothing that comes in meanwhile: images
// that share layers with those that are pruned, under names that others move.
func TestPruneDuringIngests(t *testing.T) {
	t.Parallel()
	const writers, rounds = 20, 3
	f := newFixture(t, service.Options{})
	base, _ := f.src.Layer("base", 100<<10)
	roots := make([][]ocispec.Descriptor, writers)
	nodes := map[digest.Digest][]*image.Node{}
	for i := range writers {
		for round := range rounds {
			own, _ := f.src.Layer(fmt.Sprint(i, round), 500)
			config := f.src.Put(ocispec.MediaTypeImageConfig, fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","author":"%d"}`, i/2))
			root := f.src.Index(f.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
				"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []ocispec.Descriptor{base, own},
			}))
			roots[i] = append(roots[i], root)
			nodes[root.Digest] = nodesOf(t, f.src, root, nil)
		}
	}
	ended := make(chan error, writers)
	for i := range writers {
		go func() { ended <- f.ingestAll(t.Context(), roots[i], nodes, normalName(t, fmt.Sprintf("x%d:1", i))) }()
	}
	pruned := 0
	for left := writers; left > 0; {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			left--
		default:
			done, err := f.Prune(t.Context(), service.PruneOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pruned += len(done.Removals)
		}
	}
	if _, err := f.Prune(t.Context(), service.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if pruned == 0 {
		t.Error("there was nothing to prune")
	}
	w := &platformWorld{fixture: f}
	for i := range writers {
		r, err := f.Resolve(t.Context(), fmt.Sprintf("x%d:1", i))
		if err != nil || r.Digest != roots[i][rounds-1].Digest {
			t.Errorf("x%d:1: %s, %v", i, r.Digest, err)
		}
		w.wantWhole(t, roots[i][rounds-1])
	}
}

// ingestAll writes images under one name, one after the other, and reads each of them.
func (f *fixture) ingestAll(ctx context.Context, roots []ocispec.Descriptor, nodes map[digest.Digest][]*image.Node, name string) error {
	for _, root := range roots {
		if err := ingest(ctx, f.store, f.src, []store.Move{{Name: name, To: targetOf(root)}}, nodes[root.Digest]...); err != nil {
			return err
		}
		for _, n := range nodes[root.Digest] {
			r, err := f.store.Open(ctx, n.Desc.Digest, 0)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}
