package blackbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// local is a local store of the tests, closed.
type local struct {
	dir   string
	src   testimage.Store
	index ocispec.Descriptor // under both names
	large ocispec.Descriptor // a layer in a file
}

// The names in a local store of the tests.
const (
	localName  = "docker.io/library/app:1"
	localOther = "docker.io/library/app:2"
	localGone  = "docker.io/library/gone:1"
)

// newLocal makes a store with an image of two platforms under two names, and another one
// whose name was removed, so that a collection takes it.
func newLocal(t *testing.T) *local {
	t.Helper()
	l := &local{dir: filepath.Join(t.TempDir(), "store")}
	amd64, arm64 := ocispec.Platform{OS: "linux", Architecture: "amd64"}, ocispec.Platform{OS: "linux", Architecture: "arm64"}
	one := l.src.Image(testimage.Image{Platform: amd64, Layers: 2, LayerSize: 300 << 10})
	l.index = l.src.Index(one, l.src.Image(testimage.Image{Platform: arm64, Name: "arm"}))
	gone := l.src.Image(testimage.Image{Platform: amd64, Name: "gone", LayerSize: 100 << 10})
	s := l.open(t)
	l.write(t, s, map[string]ocispec.Descriptor{localName: l.index, localOther: l.index, localGone: gone})
	if _, err := s.Move(t.Context(), store.Move{Name: localGone, Forget: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

// write writes images under names, which alone hold them.
func (l *local) write(t *testing.T, s *embedded.Store, names map[string]ocispec.Descriptor) {
	t.Helper()
	lease, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(t.Context(), lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	var moves []store.Move
	for name, root := range names {
		l.put(t, b, root)
		moves = append(moves, store.Move{Name: name, To: ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}})
	}
	_, err = b.Publish(t.Context(), moves...)
	if err := errors.Join(err, b.Close(), s.Release(t.Context(), lease.ID)); err != nil {
		t.Fatal(err)
	}
}

func (l *local) open(t *testing.T) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), l.dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put puts an image, children before parents.
func (l *local) put(t *testing.T, b store.Batch, root ocispec.Descriptor) {
	t.Helper()
	g, err := image.Walker{Fetch: l.src.Fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	nodes := g.Nodes()
	slices.Reverse(nodes)
	for _, n := range nodes {
		if n.Desc.Size > l.large.Size && root.Digest == l.index.Digest {
			l.large = n.Desc
		}
		_, err := b.Put(t.Context(), n.Desc, n.Role, func(ctx context.Context, from int64) (io.ReadCloser, error) {
			return l.src.Open(ctx, n.Desc, from)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// file is where the large layer is.
func (l *local) file() string {
	return filepath.Join(l.dir, "blobs", l.large.Digest.Algorithm().String(), l.large.Digest.Encoded()[:2], l.large.Digest.Encoded())
}

// answers are what the store says when it is opened: its names with their records, and
// of each blob whether its bytes are right.
func (l *local) answers(t *testing.T) map[string]string {
	t.Helper()
	s := l.open(t)
	all := map[string]string{}
	err := s.View(t.Context(), func(r store.NameReader) error {
		records, err := r.List("", 0)
		for _, rec := range records {
			all[rec.Key()] = fmt.Sprint(rec)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, d := range l.src.Digests() {
		all[d.String()] = l.read(t, s, d)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return all
}

// read reads a blob, of which wrong bytes without an error fail the test.
func (l *local) read(t *testing.T, s *embedded.Store, d digest.Digest) string {
	t.Helper()
	r, err := s.Open(t.Context(), d, 0)
	if err != nil {
		return "not there"
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return "damaged"
	}
	if !bytes.Equal(data, l.src.Get(d)) {
		t.Errorf("%s: %d bytes that are not its own", d, len(data))
	}
	return "right"
}

// outcome is what a run of the binary did.
type outcome struct {
	code        int
	out, errors string
}

// result runs a command to its end.
func result(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// dhow runs the binary on the store.
func (l *local) dhow(t *testing.T, args ...string) outcome {
	t.Helper()
	return result(t, exec.CommandContext(t.Context(), dhow, append([]string{"--root", l.dir}, args...)...))
}

// info is what the store tells about itself.
func (l *local) info(t *testing.T) store.Info {
	t.Helper()
	r := l.dhow(t, "store", "info", "--json")
	var info store.Info
	if err := json.Unmarshal([]byte(r.out), &info); r.code != 0 || err != nil {
		t.Fatalf("store info: %v, %+v", err, r)
	}
	return info
}

// wantOutcome compares what a run did: its exit code, and parts of what it said, in order.
func wantOutcome(t *testing.T, what string, got outcome, code int, out, errs []string) {
	t.Helper()
	if got.code != code || !inOrder(got.out, out) || !inOrder(got.errors, errs) {
		t.Errorf("%s: exit code %d, want %d; standard output:\n%swant %q; standard error:\n%swant %q", what, got.code, code, got.out, out, got.errors, errs)
	}
}

// inOrder reports whether a text has all parts one after another; without parts it is to
// be empty.
func inOrder(text string, parts []string) bool {
	if len(parts) == 0 {
		return text == ""
	}
	for _, p := range parts {
		at := bytes.Index([]byte(text), []byte(p))
		if at < 0 {
			return false
		}
		text = text[at+len(p):]
	}
	return true
}

func TestStoreInfo(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	info := l.info(t)
	if info.Free == nil || *info.Free < 1<<20 {
		t.Errorf("free: %v", info.Free)
	}
	if info.Blobs == nil || info.Files == nil || info.Inline == nil ||
		info.Blobs.Count != info.Files.Count+info.Inline.Count || info.Blobs.Bytes != info.Files.Bytes+info.Inline.Bytes {
		t.Errorf("blobs: %+v", info)
	}
	all, large := store.Amount{}, store.Amount{}
	for _, d := range l.src.Digests() {
		all.Add(int64(len(l.src.Get(d))))
		if n := len(l.src.Get(d)); n > 64<<10 {
			large.Add(int64(n))
		}
	}
	info.Free, info.Inline = nil, nil
	want := store.Info{
		Engine: "embedded", Location: l.dir, Format: 1, State: store.Clean, Names: new(2), Dangling: new(0), Leases: new(0),
		Blobs: &all, Files: &large, Partial: &store.Amount{},
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("- wanted + got:\n%s", diff)
	}
	wantOutcome(t, "store info", l.dhow(t, "store", "info"), 0, []string{
		"engine ", " embedded\n", "location ", " " + l.dir + "\n", "format ", " 1\n", "state ", " clean\n", "names ", " 2\n",
		"  in files ", "  in the database ", "partial blobs ", " 0, 0 B\n", "free disk space ",
	}, nil)
}

func TestStoreGC(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	before := l.info(t)
	wantOutcome(t, "gc", l.dhow(t, "gc", "--json"), 0, []string{`"complete": true`, `"blobs": 3,`, `"examined"`}, nil)
	after := l.info(t)
	if after.Blobs.Count != before.Blobs.Count-3 || after.Blobs.Bytes > before.Blobs.Bytes-100<<10 {
		t.Errorf("there were %+v, and are %+v", before.Blobs, after.Blobs)
	}
	wantOutcome(t, "gc again", l.dhow(t, "gc"), 0, []string{"freed 0 blobs, 0 B\n"}, nil)
	wantOutcome(t, "fsck", l.dhow(t, "fsck"), 0, []string{": nothing is wrong\n"}, nil)
}
