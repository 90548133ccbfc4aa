package crashtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/store"
)

// wipe takes everything out of the store and closes it, and checks that nothing is left:
// no crash has leaked anything.
func (k *checker) wipe(t *testing.T, dir string) {
	t.Helper()
	for _, p := range k.plans {
		var moves []store.Move
		for name := range p.m.names {
			moves = append(moves, store.Move{Name: name, Forget: true})
		}
		for d := range p.m.dangling {
			moves = append(moves, store.Move{Name: "@" + string(d)})
		}
		if _, err := k.store.Move(t.Context(), moves...); err != nil {
			t.Fatal("Move:", err)
		}
		for id := range p.m.leases {
			if err := k.store.Release(t.Context(), id); err != nil {
				t.Fatal("Release:", err)
			}
		}
		p.m = newModel()
	}
	partial, err := k.store.Partial(t.Context())
	if err != nil {
		t.Fatal("Partial:", err)
	}
	for _, p := range partial {
		if err := k.store.Abort(t.Context(), p.Ref); err != nil {
			t.Errorf("Abort of %q: %v", p.Ref, err)
		}
	}
	k.collected(t)
	err = k.store.Walk(t.Context(), "", func(b store.Blob) error {
		t.Errorf("blob %s is still there, and nobody needs it", b.Digest)
		return nil
	})
	if err != nil {
		t.Error("Walk:", err)
	}
	k.close(t)
	for _, name := range []string{"blobs", "ingest", "trash", "bad"} {
		wantNoFiles(t, filepath.Join(dir, name))
	}
}

func wantNoFiles(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !e.IsDir() {
			t.Errorf("%s is still there", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
