package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/store"
)

// many makes names and dangling records, and returns the keys of all in order: that of
// bytes, but dangling ones first, which matters for names that begin with a digit.
func (w *world) many(t *testing.T) []string {
	t.Helper()
	var dangling, names []string
	im := w.images(t, "0", "1", "2", "3", "4", "5")
	for i, desc := range im[:5] {
		dangling = append(dangling, "@"+desc.Digest.String())
		w.move(t, store.Move{Name: dangling[i], To: desc})
	}
	for _, name := range []string{
		"127.0.0.1:5000/a:1", "10.0.0.1/a:1", "0.example/x:y", "[::1]:5000/a:b", "a.example/b:1", "a.example/b:10", "a.example/b:2",
		"a.example/b-c:1", "a.example/b/c:1", "a.example/b.c:1", "a.example/b@" + im[5].Digest.String(), "localhost/a:b", busybox, alpine, debian,
	} {
		w.move(t, store.Move{Name: name, To: im[5]})
		names = append(names, name)
	}
	slices.Sort(dangling)
	slices.Sort(names)
	return append(dangling, names...)
}

// list checks the order of all records.
func (f Factory) list(t *testing.T) {
	w := f.world(t)
	want := w.many(t)
	for range 2 {
		if diff := cmp.Diff(want, keys(w.records(t))); diff != "" {
			t.Errorf("List, - wanted + found:\n%s", diff)
		}
		w.reopen(t)
	}
}

// listPages checks that pages of every size have each record once, also after a key
// that is not there any more.
func (f Factory) listPages(t *testing.T) {
	w := f.world(t)
	want := w.many(t)
	page := func(after string, limit int) (found []string) {
		w.view(t, func(r store.NameReader) {
			records, err := r.List(after, limit)
			if err != nil {
				t.Errorf("List after %q: %v", after, err)
			}
			found = keys(records)
		})
		return found
	}
	for limit := range len(want) + 2 {
		var all []string
		for after := ""; ; {
			found := page(after, limit)
			if limit > 0 && len(found) > limit {
				t.Fatalf("List of %d has %d", limit, len(found))
			}
			all = append(all, found...)
			if len(found) == 0 || limit == 0 {
				break
			}
			after = found[len(found)-1]
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Fatalf("pages of %d, - wanted + found:\n%s", limit, diff)
		}
	}
	for i, key := range want {
		w.move(t, store.Move{Name: key, Forget: true})
		if diff := cmp.Diff(want[i+1:], page(key, 0)); diff != "" {
			t.Errorf("after %s, which is gone, - wanted + found:\n%s", key, diff)
		}
	}
	if found := page("zzz", 0); len(found) != 0 {
		t.Errorf("after all: %v", found)
	}
}

// listMoving checks that pages have every record that stays, whatever else comes and
// goes between them.
func (f Factory) listMoving(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a")[0]
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("docker.io/library/stays:%02d", i))
		w.move(t, store.Move{Name: want[i], To: im})
	}
	var found []string
	for after, n := "", 0; ; n++ {
		var records []store.Record
		w.view(t, func(r store.NameReader) {
			var err error
			if records, err = r.List(after, 3); err != nil {
				t.Error("List:", err)
			}
		})
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			if r.Name != "docker.io/library/stays:05-moves" {
				found = append(found, r.Name)
			}
		}
		after = records[len(records)-1].Name
		m := store.Move{Name: "docker.io/library/stays:05-moves", To: im}
		if n%2 == 1 {
			m = store.Move{Name: m.Name}
		}
		w.move(t, m)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("- wanted + found:\n%s", diff)
	}
}

// snapshot checks that a view is of one moment: two names that always move together
// point at the same, and lookups do not change while it lasts.
func (f Factory) snapshot(t *testing.T) {
	skipIf(t, f.Cannot.Snapshot)
	w := f.world(t)
	im := w.images(t, "a", "b")
	both := func(i int) error {
		_, err := w.Move(t.Context(), store.Move{Name: busybox, To: im[i%2]}, store.Move{Name: alpine, To: im[i%2]})
		return err
	}
	if err := both(0); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := both(i); err != nil {
				t.Error("Move:", err)
				return
			}
		}
	})
	for range 200 {
		w.view(t, func(r store.NameReader) { wantOneMoment(t, r) })
	}
}

// wantOneMoment checks that two names point at the same, whichever way they are found.
func wantOneMoment(t *testing.T, r store.NameReader) {
	t.Helper()
	one, err1 := r.Get(busybox)
	time.Sleep(100 * time.Microsecond) // for the others to move
	pointed, err2 := r.Target(one.Target.Digest)
	all, err3 := r.List("", 0)
	two, err4 := r.Get(alpine)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal("View:", err)
	}
	if one.Target.Digest != two.Target.Digest || len(pointed) != 2 {
		t.Fatalf("two names that move together: %s and %s, %d records", one.Target.Digest, two.Target.Digest, len(pointed))
	}
	for _, rec := range all {
		if rec.Dangling() == (rec.Target.Digest == one.Target.Digest) {
			t.Fatalf("List has %+v", rec)
		}
	}
}
