package blobfile

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// recorder notes what is done to the disk, in order, with paths below the root.
type recorder struct {
	mu     sync.Mutex
	dir    string
	events []string
	fails  func(event string) error
}

// record has a Dir tell a recorder before it does something.
func record(d *Dir, dir string) *recorder {
	r := &recorder{dir: dir}
	was := d.ops
	d.ops = operations{
		syncData: func(f *os.File) error { return r.then("data "+r.rel(f), func() error { return was.syncData(f) }) },
		syncDir:  func(f *os.File) error { return r.then("dir "+r.rel(f), func() error { return was.syncDir(f) }) },
		syncFS:   func(f *os.File) error { return r.then("fs", func() error { return was.syncFS(f) }) },
		rename: func(from *folder, name string, to *folder, as string) error {
			event := "rename " + path.Join(from.path, name) + " " + path.Join(to.path, as)
			return r.then(event, func() error { return was.rename(from, name, to, as) })
		},
	}
	return r
}

func (r *recorder) rel(f *os.File) string {
	name, err := filepath.Rel(r.dir, f.Name())
	if err != nil {
		return f.Name()
	}
	return filepath.ToSlash(name)
}

func (r *recorder) then(event string, do func() error) error {
	r.mu.Lock()
	r.events = append(r.events, event)
	fails := r.fails
	r.mu.Unlock()
	if fails != nil {
		if err := fails(event); err != nil {
			return err
		}
	}
	return do()
}

// take returns the events since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// phases cuts events where their kind changes, and sorts each phase: within one the
// order is chance.
func phases(events []string) [][]string {
	var all [][]string
	last := ""
	for _, e := range events {
		kind, _, _ := strings.Cut(e, " ")
		if kind != last {
			all = append(all, nil)
			last = kind
		}
		all[len(all)-1] = append(all[len(all)-1], e)
	}
	for _, p := range all {
		slices.Sort(p)
	}
	return all
}

// expected is what it takes to publish, with the directories that are to be synced.
func expected(contents [][]byte, dirs ...string) [][]string {
	want := make([][]string, 3)
	for _, data := range contents {
		blob := digest.FromBytes(data)
		name := nameOf(string(blob))
		shard := "blobs/sha256/" + blob.Encoded()[:2]
		want[0] = append(want[0], "data ingest/"+name)
		want[1] = append(want[1], "rename ingest/"+name+" "+shard+"/"+blob.Encoded())
		want[2] = append(want[2], "dir "+shard)
	}
	for _, d := range dirs {
		want[2] = append(want[2], "dir "+d)
	}
	for i, p := range want {
		slices.Sort(p)
		want[i] = slices.Compact(p)
	}
	return want
}

func wantPhases(t *testing.T, got []string, want [][]string) {
	t.Helper()
	if got := phases(got); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("done:\n%q\nwant:\n%q", got, want)
	}
}

// samples are pieces of content of various sizes.
func samples(seed byte, sizes ...int) [][]byte {
	var all [][]byte
	for i, size := range sizes {
		all = append(all, randomBytes(seed+byte(i), size))
	}
	return all
}

func TestOrderOfPublish(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	r := record(d, dir)
	contents := samples(1, 0, 10, Small+1, 5*Small)
	var files []*Ingest
	for _, data := range contents {
		files = append(files, filled(t, d, data))
	}
	if events := r.take(); len(events) > 0 {
		t.Errorf("before Publish: %q", events)
	}
	r.fails = func(event string) error {
		if strings.HasPrefix(event, "data ") {
			if seen := tree(t, filepath.Join(dir, blobsName)); len(seen) > 0 {
				t.Errorf("%q are visible before all is synced", seen)
			}
		}
		return nil
	}
	if err := d.Publish(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	wantPhases(t, r.take(), expected(contents, "blobs/sha256", "blobs", "."))
	r.fails = nil

	// What is durable once is so: in the same directory only that is synced.
	again := sameShard(contents[3])
	publish(t, d, again)
	wantPhases(t, r.take(), expected([][]byte{again}))

	// Another Dir cannot know.
	d = openDir(t, dir)
	r = record(d, dir)
	publish(t, d, again)
	wantPhases(t, r.take(), expected([][]byte{again}, "blobs/sha256", "blobs", "."))
}

// sameShard returns other content whose digest begins as that of data.
func sameShard(data []byte) []byte {
	want := digest.FromBytes(data).Encoded()[:shardWidth]
	for n := 0; ; n++ {
		if other := fmt.Append(nil, n); digest.FromBytes(other).Encoded()[:shardWidth] == want {
			return other
		}
	}
}

func TestManyFilesAreSyncedAtOnceBefore(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	r := record(d, dir)
	var contents [][]byte
	for n := range groupSize + 1 {
		contents = append(contents, fmt.Append(nil, n))
	}
	publish(t, d, contents...)
	want := expected(contents, "blobs/sha256", "blobs", ".")
	wantPhases(t, r.take(), append([][]string{{"fs"}}, want...))
	for _, data := range contents {
		wantBlob(t, d, data)
	}
}

// TestFailuresOfPublish has one operation of each kind fail.
func TestFailuresOfPublish(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	contents := samples(10, 10, Small+1, 3*Small)
	first := digest.FromBytes(contents[0])
	for name, row := range map[string]struct {
		fails string // what fails, without its second path
		gone  int    // files that are not there after it
	}{
		"sync of a file":              {"data ingest/" + nameOf(string(first)), 1},
		"rename":                      {"rename ingest/" + nameOf(string(first)), 0},
		"sync of a blob's directory":  {"dir blobs/sha256/" + first.Encoded()[:2], 3},
		"sync of the directory above": {"dir blobs", 3},
		"sync of the root":            {"dir .", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDir(t)
			r := record(d, dir)
			meant := func(event string) bool { return event == row.fails || strings.HasPrefix(event, row.fails+" ") }
			r.fails = func(event string) error {
				if meant(event) {
					return broken
				}
				return nil
			}
			var files []*Ingest
			for _, data := range contents {
				files = append(files, filled(t, d, data))
			}
			wantKind(t, "Publish", d.Publish(t.Context(), files), broken)
			failed := 0
			for _, e := range r.take() {
				if meant(e) {
					failed++
				}
			}
			if failed != 1 {
				t.Errorf("%s was tried %d times, want once", row.fails, failed)
			}
			wantTree(t, filepath.Join(dir, blobsName))
			if left := tree(t, filepath.Join(dir, ingestName)); len(left) != len(files)-row.gone {
				t.Errorf("left: %q", left)
			}
			var kept []*Ingest
			for _, in := range files {
				if !in.Ended() {
					kept = append(kept, in)
				}
			}
			if len(kept) != len(files)-row.gone {
				t.Errorf("%d Ingests are open, want %d", len(kept), len(files)-row.gone)
			}

			// What has not failed can be published, or kept.
			r.fails = nil
			if len(kept) > 0 {
				if err := kept[0].Close(); err != nil {
					t.Error(err)
				}
				wantKind(t, "Publish of the others", d.Publish(t.Context(), kept[1:]), nil)
				again := create(t, d, kept[0].Ref())
				wantOffset(t, again, kept[0].Offset())
				if err := again.Abort(); err != nil {
					t.Error(err)
				}
			}
			wantTree(t, filepath.Join(dir, ingestName))
			publish(t, d, contents...)
			for _, data := range contents {
				wantBlob(t, d, data)
			}
		})
	}
}

// TestFailedSyncOfTheFileSystem may be about anybody's file: the sync of each says of
// which.
func TestFailedSyncOfTheFileSystem(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	broken := errors.New("input/output error")
	d.ops.syncFS = func(*os.File) error { return broken }
	files := func() (all []*Ingest) {
		for n := range groupSize + 1 {
			all = append(all, filled(t, d, fmt.Append(nil, n)))
		}
		return all
	}
	wantKind(t, "Publish", d.Publish(t.Context(), files()), nil)
	data := d.ops.syncData
	d.ops.syncData = func(f *os.File) error {
		if filepath.Base(f.Name()) == nameOf(string(digest.FromString("7"))) {
			return broken
		}
		return data(f)
	}
	again := files()
	wantKind(t, "Publish", d.Publish(t.Context(), again), broken)
	for n, in := range again {
		if in.Ended() != (n == 7) {
			t.Errorf("the Ingest of %d has ended: %v", n, in.Ended())
		}
		wantKind(t, "Abort", in.Abort(), nil)
	}
	wantTree(t, filepath.Join(dir, ingestName))
}

func TestPublishReplaces(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(20, 100)
	publish(t, d, data)
	at := blobPath(dir, digest.FromBytes(data))
	if err := os.WriteFile(at, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	publish(t, d, data)
	wantBlob(t, d, data)
	if old := make([]byte, 7); readFull(reader, old) != nil || string(old) != "damaged" {
		t.Error("a file that was open has changed")
	}
}

func readFull(f *os.File, p []byte) error {
	_, err := f.ReadAt(p, 0)
	return err
}

// TestFailureAfterReplacing shows that a blob that was there is there whatever happens.
func TestFailureAfterReplacing(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	contents := samples(30, Small+1, Small+2)
	last := digest.FromBytes(contents[1])
	for _, fails := range []string{"rename ingest/" + nameOf(string(last)), "dir "} {
		d, dir := newDir(t)
		publish(t, d, contents[0])
		r := record(d, dir)
		r.fails = func(event string) error {
			if strings.HasPrefix(event, fails) {
				return broken
			}
			return nil
		}
		files := []*Ingest{filled(t, d, contents[0]), filled(t, d, contents[1])}
		wantKind(t, "Publish", d.Publish(t.Context(), files), broken)
		wantBlob(t, d, contents[0])
		_, _, err := d.Stat(last)
		wantKind(t, "Stat of what was not published", err, errdefs.ErrNotFound)
	}
}

func TestArgumentsOfPublish(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	wantKind(t, "nothing", d.Publish(t.Context(), nil), nil)
	in := filled(t, d, []byte("data"))
	wantKind(t, "one twice", d.Publish(t.Context(), []*Ingest{in, in}), errdefs.ErrInvalidArgument)
	other := create(t, d, "ref")
	if _, err := other.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "not verified", d.Publish(t.Context(), []*Ingest{in, other}), errdefs.ErrFailedPrecondition)
	if err := other.Verify(t.Context(), digest.FromString("data"), 4); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "written to since", d.Publish(t.Context(), []*Ingest{in, other}), errdefs.ErrFailedPrecondition)
	wantTree(t, filepath.Join(dir, blobsName))
	twin := create(t, d, "twin")
	if err := twin.Fill(t.Context(), digest.FromString("data"), 4, opens([]byte("data"))); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "one digest twice", d.Publish(t.Context(), []*Ingest{in, twin}), errdefs.ErrInvalidArgument)
	wantTree(t, filepath.Join(dir, blobsName))
	if err := other.Verify(t.Context(), digest.FromString("datamore"), 8); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in, other}), nil)
}

func TestPublishOfAFileThatHasChanged(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	in := filled(t, d, randomBytes(40, 2*Small))
	if err := os.Truncate(filepath.Join(dir, ingestName, in.name), Small); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), errdefs.ErrDataLoss)
	wantTree(t, dir)
}
