//go:build unix

package embedded_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testplant"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// plants are what may be in the place of something in a store.
func plants() map[string]testplant.Plant {
	all := testplant.Plants()
	all["device"] = func(path, _, _ string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) }
	all["file"] = func(path, _, _ string) error { return os.WriteFile(path, []byte("planted"), 0o600) }
	return all
}

// The outcomes of opening a store in which something was planted.
type outcome int

const (
	refuses  outcome = iota // with an error that names the place
	degrades                // and answers as before
	ignores                 // it
	hides                   // what was in the place, as long as it is there
	loses                   // what was in the place, until that is written again
)

// places are where something is planted, and what comes of it. "directory" ones are not
// planted with a directory, which is what they are.
func places(blob string) map[string]struct {
	row       string
	want      outcome
	directory bool
} {
	type place = struct {
		row       string
		want      outcome
		directory bool
	}
	shard := filepath.Dir(blob)
	return map[string]place{
		"":                              {"B72 the store's directory", refuses, true},
		"lock":                          {"B72 lock", refuses, false},
		"format":                        {"B71 format", degrades, false},
		"format.new":                    {"B72 a format that is being written", ignores, false},
		"catalog.db":                    {"B72 database", degrades, false},
		"scratch.db":                    {"B72 scratch database", ignores, false},
		"check.db":                      {"B72 database of a check", ignores, false},
		"journal":                       {"B72 journal", degrades, true},
		"journal/0000000000000001.log":  {"B72 segment", degrades, false},
		"journal/0000000000000002.log":  {"B72 segment that is not there", degrades, false},
		"journal/0000000000000001.snap": {"B72 snapshot", ignores, false}, // the database has it all
		"journal/snapshot.new":          {"B72 snapshot that is being written", ignores, false},
		"blobs":                         {"B72 blobs", refuses, true},
		"ingest":                        {"B72 ingest", refuses, true},
		"trash":                         {"B72 trash", refuses, true},
		"bad":                           {"B72 bad", refuses, true},
		filepath.Dir(shard):             {"B72 blobs/sha256", hides, true},
		shard:                           {"B72 shard", hides, true},
		blob:                            {"B72 blob", loses, false},
		"ingest/r-ref":                  {"B72 partial blob", ignores, false},
		"trash/0123":                    {"B72 in the trash", ignores, false},
		"bad/0123.1":                    {"B72 in bad", ignores, false},
	}
}

// TestPlanted: whatever is in the place of a file or directory of a store, no call hangs,
// nothing outside is touched, no wrong bytes are read, and when it is removed, or
// repaired, all is as before.
func TestPlanted(t *testing.T) {
	t.Parallel()
	dir, src, was := sampled(t)
	var blob string
	for _, d := range src.Digests() {
		if was["bytes of "+d.String()] == "ok" && len(src.Get(d)) > 64<<10 {
			blob = filepath.Join("blobs/sha256", d.Encoded()[:2], d.Encoded())
		}
	}
	for place, p := range places(blob) {
		link := map[bool]string{true: "link to a directory", false: "link to a file"}[p.directory]
		for name, plant := range plants() {
			want := p.want
			switch {
			case !long() && !slices.Contains([]string{"FIFO", "full directory", link}, name):
				continue // tried by the long tests
			case p.directory && name == "full directory", place == "lock" && name == "file":
				continue // that is what it is
			case place == "" && name == "link to a directory":
				continue // the way to the store may have links
			case place == "journal/0000000000000002.log" && name == "file":
				want = ignores // one that is shorter than its beginning is none
			}
			t.Run(p.row+", "+name, func(t *testing.T) {
				t.Parallel()
				x := planted{dir: copyOf(t, dir), blob: blob, src: src, want: was, outcome: want}
				x.plant(t, place, name, plant)
				testplant.Soon(t, func() { x.try(t) })
			})
		}
	}
}

// planted is a store in which something was planted.
type planted struct {
	dir, blob string
	at, away  string // the path, and where what was there is now
	src       *source
	want      map[string]string
	outcome   outcome
}

func (x *planted) plant(t *testing.T, place, name string, plant testplant.Plant) {
	t.Helper()
	file, outDir := testplant.Outside(t, []byte("outside"))
	x.at, x.away = filepath.Join(x.dir, place), filepath.Join(t.TempDir(), "away")
	if err := os.Rename(x.at, x.away); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	err := plant(x.at, file, outDir)
	if errors.Is(err, fs.ErrPermission) && name == "device" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restore puts back what was there.
func (x *planted) restore(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(x.at); err != nil {
		t.Error(err)
	}
	if err := os.Rename(x.away, x.at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func (x *planted) try(t *testing.T) {
	t.Helper()
	reader, err := embedded.Open(t.Context(), x.dir, embedded.Options{ReadOnly: true, LockTimeout: -1})
	if err == nil {
		x.wantAnswers(t, reader)
		closeStore(t, reader)
	} else {
		x.wantRefusal(t, err)
	}
	s, err := embedded.Open(t.Context(), x.dir, embedded.Options{LockTimeout: -1})
	if err != nil {
		x.wantRefusal(t, err)
		if x.outcome != refuses {
			t.Fatal("Open:", err)
		}
	} else {
		x.use(t, s)
		closeStore(t, s)
	}
	if x.outcome == refuses || x.outcome == hides {
		x.restore(t)
	}
	s = openStore(t, x.dir, embedded.Options{})
	defer closeStore(t, s)
	if x.outcome == loses {
		rewrite(t, s, x.src, x.want)
	}
	wantAnswers(t, "in the end", x.want, answers(t, s, x.src))
	wantSound(t, s)
}

// use uses a store while it is there, and repairs it.
func (x *planted) use(t *testing.T, s *embedded.Store) {
	t.Helper()
	x.wantAnswers(t, s)
	if degraded := s.Degraded(); (degraded != nil) != (x.outcome == degrades) {
		t.Errorf("Degraded: %v", degraded)
	}
	x.write(t, s)
	if x.outcome == hides {
		x.wantNoPut(t, s)
	}
	if filepath.Base(x.at) == "r-ref" { // which stays in sight, until somebody writes under the ref or wants it no more
		if err := s.Abort(t.Context(), "ref"); err != nil {
			t.Error("Abort:", err)
		}
	}
	report, err := s.Check(t.Context(), embedded.CheckOptions{Repair: true})
	switch {
	case x.outcome == hides && err != nil:
		x.wantRefusal(t, err)
	case err != nil, len(report.Findings) == 0 && x.outcome != ignores:
		t.Errorf("Check: %v, %v", report.Findings, err)
	}
	x.write(t, s)
}

// wantRefusal checks that an error says where something is wrong.
func (x *planted) wantRefusal(t *testing.T, err error) {
	t.Helper()
	kind := errdefs.IsFailedPrecondition(err) || errdefs.IsInvalidArgument(err) || x.at == filepath.Clean(x.dir) // for which links are followed
	if !kind || !strings.Contains(err.Error(), filepath.Base(x.at)) {
		t.Errorf("Open: %v; want an error that names %s", err, filepath.Base(x.at))
	}
}

// wantAnswers checks what a store says while it is there.
func (x *planted) wantAnswers(t *testing.T, s *embedded.Store) {
	t.Helper()
	got := answers(t, s, x.src)
	if x.outcome != loses && x.outcome != hides {
		wantAnswers(t, "while it is there", x.want, got)
		return
	}
	for ask, answer := range got {
		if answer != x.want[ask] && !strings.HasPrefix(ask, "b") { // bytes or blob
			t.Errorf("%s: %s; want %s", ask, answer, x.want[ask])
		}
	}
}

// write writes something large and something small, which is collected then.
func (x *planted) write(t *testing.T, s *embedded.Store) {
	t.Helper()
	if s.Degraded() != nil {
		return
	}
	b, lease := newBatch(t, s)
	src := &source{Store: &testimage.Store{}}
	src.put(t, b, src.Put("text/plain", make([]byte, 100_000)), image.RoleLayer)
	src.put(t, b, src.Put("text/plain", []byte("small")), image.RoleLayer)
	_, err := b.Publish(t.Context())
	if err != nil && (x.outcome != hides || !errdefs.IsFailedPrecondition(err)) {
		t.Error("Publish:", err)
	}
	if err := errors.Join(b.Close(), s.Release(t.Context(), lease)); err != nil {
		t.Error(err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Error("Collect:", err)
	}
}

// wantNoPut checks that a blob cannot be written again as long as something is in the
// place of its directory.
func (x *planted) wantNoPut(t *testing.T, s *embedded.Store) {
	t.Helper()
	b, lease := newBatch(t, s)
	d := digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(x.blob))
	desc := ocispec.Descriptor{Digest: d, Size: int64(len(x.src.Get(d)))}
	_, err := b.Put(t.Context(), desc, image.RoleLayer, x.src.Opener(desc))
	if !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Put: %v; want %v", err, errdefs.ErrFailedPrecondition)
	}
	if err := errors.Join(b.Close(), s.Release(t.Context(), lease)); err != nil {
		t.Error(err)
	}
}
