package formattest

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// read is what this package finds in a store's directory.
type read struct {
	*files
	db      *database
	journal *content // of the journal alone
	end     position
}

// readStore reads the directory of a store, and checks that its parts agree.
func readStore(tb testing.TB, dir string) *read {
	tb.Helper()
	files, err := readFiles(dir)
	if err != nil {
		tb.Fatal(err)
	}
	if files.version != 1 {
		tb.Fatalf("format %d", files.version)
	}
	db, err := readDatabase(filepath.Join(dir, "catalog.db"))
	if err != nil {
		tb.Fatal(err)
	}
	r := &read{files: files, db: db, journal: newContent()}
	if r.end, err = readJournal(filepath.Join(dir, "journal"), position{}, r.journal.apply); err != nil {
		tb.Fatal(err)
	}
	wantIndex(tb, db)
	rest := db.clone() // with what the journal has and the database has not
	if _, err := readJournal(filepath.Join(dir, "journal"), db.state.position(), rest.apply); err != nil {
		tb.Fatal(err)
	}
	rest.letGo()
	r.journal.letGo()
	wantEqual(tb, "what the journal says, and the database", r.journal, rest)
	return r
}

func wantEqual(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if diff := cmp.Diff(want, got, unexported(), cmpopts.EquateEmpty()); diff != "" {
		tb.Errorf("%s, - and +:\n%.3000s", what, diff)
	}
}

func unexported() cmp.Option {
	return cmp.AllowUnexported(content{}, blob{}, facts{}, edge{}, target{}, platform{}, record{}, lease{}, derived{}, partial{}, outline{}, outlined{})
}

// wantIndex checks that what follows from the content of a database is in it.
func wantIndex(tb testing.TB, db *database) {
	tb.Helper()
	wantEqual(tb, "index", db.derive(), derived{db.targets, db.refs, db.contained, db.children, db.referrers})
	for d := range db.blobs {
		key := keyOf(d)
		if !begins(db.targets, key) && !begins(db.refs, key) && !db.suspects[d] {
			tb.Errorf("nothing needs %s, and it is no suspect", d)
		}
	}
	wantOutlines(tb, db)
	for d := range db.suspects {
		if _, there := db.blobs[d]; !there {
			tb.Errorf("suspect %s is not there", d)
		}
	}
	for d, epoch := range db.verified {
		if b, there := db.blobs[d]; !there || b.number != 0 || epoch > db.state.epoch {
			tb.Errorf("%s was verified in epoch %d: %+v", d, epoch, b)
		}
	}
}

func begins[V any](keys map[string]V, prefix string) bool {
	for key := range keys {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// wantFiles checks that blobs in files are there, and no others.
func (r *read) wantFiles(tb testing.TB) {
	tb.Helper()
	want := map[string]int64{}
	for d, b := range r.db.blobs {
		if b.number == 0 {
			want[d] = int64(b.size)
		}
	}
	wantEqual(tb, "blobs in files", want, r.files.blobs)
	if r.trash != 0 {
		tb.Errorf("%d files in the trash", r.trash)
	}
}

// TestPage reads a store by the page, and asks the store the same.
func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t)
	w.close(t)
	r := readStore(t, w.dir)
	r.wantFiles(t)
	if s := r.db.state; !s.clean || s.epoch != 1 || s.position() != r.end {
		t.Errorf("state %+v; the journal ends at %+v", s, r.end)
	}
	w.open(t)
	w.wantAnswers(t, r)
	wantVariety(t, r)
}

// wantVariety checks that the store has something of all that the page speaks of.
func wantVariety(t *testing.T, r *read) {
	t.Helper()
	for _, name := range buckets {
		if len(r.db.raw[name]) == 0 && name != "stale" && name != "touched" { // see TestPageOutlines, TestPageTouched
			t.Errorf("bucket %s is empty", name)
		}
	}
	kinds := map[byte]bool{}
	for key := range r.db.refs {
		kinds[(&decoder{rest: []byte(key)}).kind()] = true
	}
	hows := map[string]bool{}
	for _, how := range r.db.contained {
		hows[how] = true
	}
	state := false
	for _, p := range r.partial {
		state = state || p.state == "sha256"
	}
	if len(kinds) != 3 || len(hows) != 2 || len(r.partial) != 5 || len(r.bad) != 1 || len(r.files.blobs) < 4 || !state {
		t.Errorf("kinds %v, %v, partial %v, bad %v, files %v", kinds, hows, r.partial, r.bad, r.files.blobs)
	}
}

func (d *decoder) kind() byte { d.present(); return d.byte() }

// TestPageAfterACrash reads a store that is open, at moments between two calls.
func TestPageAfterACrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lease(t, store.Lease{ID: "x"})
	var before *read
	for _, text := range []string{"a", "b", strings.Repeat("c", 100_000)} {
		w.blob(t, "x", w.src.Put("text/plain", []byte(text)), image.RoleLayer)
		after := copyOf(t, w.dir)
		if before != nil { // the journal is ahead of the database
			if err := os.WriteFile(filepath.Join(after, "catalog.db"), databaseBefore(t, w), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before = readStore(t, after)
		if before.db.state.clean {
			t.Error("a store that is open says that it was closed")
		}
		keepDatabase(t, w)
	}
	if len(before.db.blobs) != 2 || len(before.journal.blobs) != 3 {
		t.Errorf("the database has %d blobs, the journal %d; want 2 and 3", len(before.db.blobs), len(before.journal.blobs))
	}
}

// copyOf copies a store, with the modes.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()])
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func keepDatabase(t *testing.T, w *world) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.dir+".before", data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func databaseBefore(t *testing.T, w *world) []byte {
	t.Helper()
	data, err := os.ReadFile(w.dir + ".before")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPageWhenTheJournalWasWrittenAnew reads a journal that begins with a snapshot.
func TestPageWhenTheJournalWasWrittenAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t)
	w.rewriteJournal(t)
	w.move(t, store.Move{Name: one})
	w.close(t)
	if names := journalFiles(t, w.dir); !slices.Equal(names, []string{"0000000000000002.log", "0000000000000002.snap"}) {
		t.Errorf("the journal has %q", names)
	}
	r := readStore(t, w.dir)
	r.wantFiles(t)
	w.open(t)
	w.wantAnswers(t, r)
}

// rewriteJournal has the journal be so full of what is gone that it is written anew.
func (w *world) rewriteJournal(tb testing.TB) {
	tb.Helper()
	w.lease(tb, store.Lease{ID: "filler"})
	filler := &testimage.Store{}
	for i := range 70 {
		desc := filler.Put("text/plain", bytes.Repeat([]byte{byte(i)}, 64<<10))
		w.src.Set(desc.Digest, filler.Get(desc.Digest))
		w.blob(tb, "filler", desc, image.RoleLayer)
		w.src.Delete(desc.Digest)
	}
	if err := w.Release(tb.Context(), "filler"); err != nil {
		tb.Fatal("Release:", err)
	}
	w.collect(tb)
}

func journalFiles(tb testing.TB, dir string) (names []string) {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "journal"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestReaderKnowsOnlyThePage: what reads imports nothing of Dhow's.
func TestReaderKnowsOnlyThePage(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"values_test.go", "database_test.go", "journal_test.go", "apply_test.go", "files_test.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		imports := map[string]bool{}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[path] = strings.Contains(path, ".")
		}
		for path := range maps.Keys(imports) {
			if imports[path] && path != "go.etcd.io/bbolt" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// TestPageAfterARepair reads stores that have lost their database, or their journal.
func TestPageAfterARepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t)
	w.close(t)
	want := readStore(t, w.dir)
	for _, lost := range []string{"catalog.db", "journal"} {
		again := *w
		again.dir = copyOf(t, w.dir)
		if err := os.RemoveAll(filepath.Join(again.dir, lost)); err != nil {
			t.Fatal(err)
		}
		again.open(t)
		if _, err := again.Check(t.Context(), embedded.CheckOptions{Repair: true}); err != nil {
			t.Error("Check:", err)
		}
		again.close(t)
		r := readStore(t, again.dir)
		r.wantFiles(t)
		want.journal.letGo()
		wantEqual(t, "the journal of a store that has lost its "+lost, want.journal, r.journal)
		again.open(t)
		again.wantAnswers(t, r)
		again.close(t)
	}
	w.open(t)
}
