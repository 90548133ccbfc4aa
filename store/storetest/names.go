package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// Names for test images.
const (
	busybox = "docker.io/library/busybox:latest"
	alpine  = "docker.io/library/alpine:3"
	debian  = "registry.example:5000/debian/slim:12.1"
)

func (f Factory) names() map[string]func(*testing.T) {
	tests := map[string]func(*testing.T){
		"record":                   f.record,
		"labels":                   f.labels,
		"hostile labels":           f.hostileLabels,
		"hostile names":            f.hostileName,
		"B45 reserved labels":      f.reservedLabels,
		"targets that cannot be":   f.badTargets,
		"opened again":             f.namesStay,
		"compare and swap at once": f.swapTogether,
		"moves at once":            f.moveTogether,
		"with Publish":             f.moveWithPublish,
		"nothing to move":          f.moveNothing,
	}
	maps.Copy(tests, f.moves())
	return tests
}

// images writes images of one platform each, which a lease holds.
func (w *world) images(t *testing.T, names ...string) []ocispec.Descriptor {
	t.Helper()
	var all []ocispec.Descriptor
	for _, name := range names {
		all = append(all, target(w.src.Image(testimage.Image{Platform: amd64(), Name: name})))
	}
	w.hold(t, all...)
	return all
}

// record checks what a record says, and when.
func (f Factory) record(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a", "b")
	start := time.Now().Add(-time.Second)
	moved := w.move(t, store.Move{Name: busybox, To: im[0], Labels: map[string]string{"a": "b"}})
	if diff := cmp.Diff(store.Moved{}, moved[0]); diff != "" {
		t.Errorf("Moved of a new name: %s", diff)
	}
	first := w.record(t, busybox)
	if first.Name != busybox || !cmp.Equal(first.Target, im[0]) || !cmp.Equal(first.Labels, map[string]string{"a": "b"}) || first.Dangling() || first.Key() != busybox {
		t.Errorf("record: %+v", first)
	}
	if first.Created.Before(start) || first.Updated.Before(first.Created) || first.Updated.After(time.Now().Add(time.Second)) {
		t.Errorf("Created %v, Updated %v; want some time after %v", first.Created, first.Updated, start)
	}
	time.Sleep(2 * time.Millisecond)
	moved = w.move(t, store.Move{Name: busybox, To: im[1]})
	if diff := cmp.Diff(store.Moved{Before: first, Dangling: true}, moved[0], cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Moved: %s", diff)
	}
	second := w.record(t, busybox)
	if !second.Created.Equal(first.Created) || !second.Updated.After(first.Updated) || !cmp.Equal(second.Target, im[1]) || !cmp.Equal(second.Labels, first.Labels) {
		t.Errorf("after the move: %+v; before: %+v", second, first)
	}
	dangling := w.records(t)[0]
	if dangling.Name != "" || !dangling.Dangling() || !cmp.Equal(dangling.Target, im[0]) || dangling.Key() != "@"+im[0].Digest.String() || dangling.Created.Before(start) {
		t.Errorf("dangling record: %+v", dangling)
	}
}

// labels checks that labels are kept, replaced and cleared, whether the name moves or not,
// and that the record is found with them in whatever way it is looked for.
func (f Factory) labels(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a", "b")
	want := map[string]string{"a": "b", "c": ""}
	w.move(t, store.Move{Name: busybox, To: im[0], Labels: want})
	for i, tc := range []struct{ set, want map[string]string }{
		{nil, want},
		{map[string]string{"x": "y"}, map[string]string{"x": "y"}},
		{map[string]string{}, nil},
		{nil, nil},
		{map[string]string{"z": "z"}, map[string]string{"z": "z"}},
	} {
		for _, to := range []ocispec.Descriptor{im[i%2], im[i%2], im[(i+1)%2]} {
			w.move(t, store.Move{Name: busybox, To: to, Labels: tc.set})
			r := w.record(t, busybox)
			if len(r.Labels)+len(tc.want) > 0 && !maps.Equal(r.Labels, tc.want) {
				t.Errorf("labels after move %d: %v, want %v", i, r.Labels, tc.want)
			}
			w.wantFound(t, r)
		}
	}
}

// wantFound checks that a record is the one that each lookup finds.
func (w *world) wantFound(t *testing.T, want store.Record) {
	t.Helper()
	config := w.edges(t, want.Target)[0].Desc.Digest
	repository, _, _ := strings.Cut(want.Name, ":")
	w.view(t, func(r store.NameReader) {
		for what, find := range map[string]func() ([]store.Record, error){
			"Target":                  func() ([]store.Record, error) { return r.Target(want.Target.Digest) },
			"Containing the manifest": func() ([]store.Record, error) { return r.Containing(want.Target.Digest) },
			"Containing the config":   func() ([]store.Record, error) { return r.Containing(config) },
			"Repository":              func() ([]store.Record, error) { return r.Repository(repository) },
			"List":                    func() ([]store.Record, error) { return r.List("", 0) },
		} {
			found, err := find()
			i := slices.IndexFunc(found, func(r store.Record) bool { return r.Name == want.Name })
			if err != nil || i < 0 {
				t.Errorf("%s: %v, %v; want %s among them", what, found, err, want.Name)
			} else if diff := cmp.Diff(want, found[i], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s does not find what Get does: %s", what, diff)
			}
		}
	})
}

// badTargets checks that a name points only at documents that are visible, as they
// are.
func (f Factory) badTargets(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a")[0]
	absent := target(w.src.Index(im))
	layer := w.edges(t, im)[1].Desc
	for name, tc := range map[string]struct {
		to   ocispec.Descriptor
		want error
	}{
		"absent":             {absent, errdefs.ErrNotFound},
		"another size":       {ocispec.Descriptor{MediaType: im.MediaType, Digest: im.Digest, Size: im.Size + 1}, errdefs.ErrInvalidArgument},
		"another media type": {ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: im.Digest, Size: im.Size}, errdefs.ErrInvalidArgument},
		"a layer":            {target(layer), errdefs.ErrInvalidArgument},
		"no digest":          {ocispec.Descriptor{MediaType: im.MediaType, Size: im.Size}, errdefs.ErrInvalidArgument},
	} {
		_, err := w.Move(t.Context(), store.Move{Name: alpine, To: im}, store.Move{Name: busybox, To: tc.to})
		wantKind(t, "Move to a target: "+name, err, tc.want)
	}
	w.wantNames(t, map[string]digest.Digest{})
}

// namesStay checks that names, dangling ones too, are the same when the store is
// opened again.
func (f Factory) namesStay(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a", "b", "c")
	w.move(t, store.Move{Name: busybox, To: im[0], Labels: map[string]string{"a": "b"}}, store.Move{Name: alpine, To: im[1]}, store.Move{Name: debian, To: im[2]})
	w.move(t, store.Move{Name: busybox, To: im[1]}, store.Move{Name: debian, Forget: true})
	before := w.records(t)
	w.reopen(t)
	if diff := cmp.Diff(before, w.records(t), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("records, - before + after opening again:\n%s", diff)
	}
}

// swapTogether checks that of many who want to move a name from what they have seen
// exactly one does, again and again.
func (f Factory) swapTogether(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "0", "1", "2", "3")
	for round := range 20 {
		before := store.Condition{Absent: round == 0}
		if round > 0 {
			before.Digest = im[(round-1)%4].Digest
		}
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, err := w.Move(t.Context(), store.Move{Name: busybox, To: im[round%4], If: before})
				if err == nil {
					won.Add(1)
				} else if !errdefs.IsFailedPrecondition(err) {
					t.Error("Move:", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d have moved the name; want 1", round, won.Load())
		}
	}
}

// moveTogether checks that many names move at once.
func (f Factory) moveTogether(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "0", "1", "2")
	want := map[string]digest.Digest{}
	var wg sync.WaitGroup
	for worker := range 8 {
		for i := range 10 {
			want[fmt.Sprintf("docker.io/library/a%d:%d", worker, i)] = im[2].Digest
		}
		wg.Go(func() {
			for i := range 30 {
				name := fmt.Sprintf("docker.io/library/a%d:%d", worker, i%10)
				if _, err := w.Move(t.Context(), store.Move{Name: name, To: im[i/10]}); err != nil {
					t.Error("Move:", err)
				}
			}
		})
	}
	wg.Wait()
	for _, before := range im[:2] {
		want["@"+before.Digest.String()] = before.Digest
	}
	w.wantNames(t, want)
}

// moveWithPublish checks that a name moves with the blobs that it points at.
func (f Factory) moveWithPublish(t *testing.T) {
	w := f.world(t)
	var before ocispec.Descriptor
	for i, name := range []string{"first", "second"} {
		root := w.src.Image(testimage.Image{Platform: amd64(), Name: name})
		b := w.begin(t, w.lease(t))
		b.image(t, root)
		moved := b.publish(t, store.Move{Name: busybox, To: target(root), If: store.Condition{Absent: i == 0, Digest: before.Digest}})
		if len(moved) != 1 || moved[0].Before.Target.Digest != before.Digest || moved[0].Dangling != (i > 0) {
			t.Errorf("Moved: %+v", moved)
		}
		w.wantImage(t, root)
		before = root
	}
	if r := w.record(t, busybox); r.Target.Digest != before.Digest {
		t.Errorf("record: %+v", r)
	}
}

// moveNothing checks that no moves move nothing, and that a move to where a name
// points already leaves nothing dangling.
func (f Factory) moveNothing(t *testing.T) {
	w := f.world(t)
	if moved, err := w.Move(t.Context()); len(moved) != 0 || err != nil {
		t.Errorf("Move of nothing: %v, %v", moved, err)
	}
	im := w.images(t, "a")[0]
	for i := range 3 {
		moved := w.move(t, store.Move{Name: busybox, To: im})
		if moved[0].Dangling || (i > 0) != (moved[0].Before.Target.Digest == im.Digest) {
			t.Errorf("move %d: %+v", i, moved[0])
		}
	}
	w.wantNames(t, map[string]digest.Digest{busybox: im.Digest})
}
