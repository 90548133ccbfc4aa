package dir

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// state is an image with its signatures.
type state struct {
	root ocispec.Descriptor
	sigs map[digest.Digest][]transport.Signature
	// algorithm is SHA512 if some digests are of it.
	algorithm digest.Algorithm
}

// Wherever Commit ends, a Source sees the old image or the new one, with its
// signatures; a reader that knows only signature-N sees the signatures of the
// root that it sees, or none; and a repeat completes.
func TestKilledCommit(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	a := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	b := s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	c := s.Image(testimage.Image{Platform: platform("linux", "arm")})
	s.Algorithm = digest.SHA512
	d := s.Image(testimage.Image{Platform: platform("linux", "s390x")})
	other := s.Index(a, d)
	s.Algorithm = ""
	list, above := s.Index(a, b), s.Index(a, d)
	signed := func(root ocispec.Descriptor, words ...string) state {
		of := state{root: root, sigs: map[digest.Digest][]transport.Signature{}}
		for _, w := range words {
			of.sigs[root.Digest] = append(of.sigs[root.Digest], []byte(w))
		}
		return of
	}
	ofInstance := func(st state, instance ocispec.Descriptor, word string) state {
		st.sigs[instance.Digest] = []transport.Signature{[]byte(word)}
		return st
	}
	mixed := func(st state) state {
		st.algorithm = digest.SHA512
		return st
	}
	for _, tt := range []struct {
		name      string
		old, next state
	}{
		{"first image", state{}, signed(list)},
		{"first image, signed", state{}, signed(list, "1", "2")},
		{"unsigned to unsigned", signed(list), signed(c)},
		{"signed to unsigned", signed(list, "1", "2"), signed(c)},
		{"unsigned to signed", signed(list), signed(c, "x", "y")},
		{"signed to signed", signed(list, "1", "2"), signed(c, "x")},
		{"more signatures than before", signed(list, "1"), signed(c, "x", "y", "z")},
		{"the same signatures for another root", signed(list, "1", "2"), signed(c, "1", "2")},
		{"a signature is added", signed(list, "1"), signed(list, "1", "2", "3")},
		{"a signature is taken away", signed(list, "1", "2"), signed(list, "1")},
		{"a signature is replaced", signed(list, "1", "2"), signed(list, "1", "3")},
		{"the first signature is replaced", signed(list, "1", "2"), signed(list, "3", "2")},
		{"all signatures go", signed(list, "1", "2"), signed(list)},
		{"the first signatures come", signed(list), signed(list, "1", "2")},
		{"an instance becomes the root", ofInstance(signed(list, "1"), a, "a"), signed(a)},
		{"a signed instance becomes the root", ofInstance(signed(list, "1"), a, "a"), signed(a, "a")},
		{"the root becomes an instance", signed(a, "a"), ofInstance(signed(list, "1"), a, "a")},
		{"sha512 comes", signed(list, "1"), mixed(signed(other, "x"))},
		{"sha512 comes below sha256", signed(list), mixed(signed(above))},
		{"sha512 goes from below sha256", mixed(signed(above)), signed(list)},
		{"sha512 goes", mixed(signed(other, "x")), signed(list, "1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old, fresh := memoryDir(t), memoryDir(t)
			if tt.old.root.Digest != "" {
				writeImage(t, old, s, tt.old.root, tt.old.sigs)
			}
			writeImage(t, fresh, s, tt.next.root, tt.next.sigs)
			want := contents(t, fresh)
			for n := 0; ; n++ {
				dir := filepath.Join(memoryDir(t), "image")
				if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
					t.Fatal(err)
				}
				when, killed := killAt(t, dir, s, tt.old, tt.next, n)
				writeImage(t, dir, s, tt.next.root, tt.next.sigs)
				wantSame(t, "files of a repeat "+when, contents(t, dir), want)
				if !killed {
					break
				}
			}
		})
	}
}

// memoryDir returns a directory in memory where there is one: thousands of syncs
// take long on a disk.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dhow-test-*") //nolint:usetesting // elsewhere than TempDir
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

var errKilled = errors.New("killed")

// killAt ends the Commit of the next image before its n-th step, and checks what
// is there. It says where that was, and whether there was such a step.
func killAt(t *testing.T, dir string, s *testimage.Store, old, next state, n int) (when string, killed bool) {
	t.Helper()
	d := openDestination(t, dir)
	defer transporttest.Close(t, d)
	put(t, d, s, next.root)
	for m, set := range next.sigs {
		if err := d.PutSignatures(t.Context(), m, set); err != nil {
			t.Fatal(err)
		}
	}
	checkState(t, "before Commit", dir, s, old, old)
	count, when := 0, "before the first step"
	d.before = func(s step) error {
		if count == n {
			return errKilled
		}
		count++
		when = fmt.Sprintf("after step %d, %s (removed: %t)", count, s.name, s.remove)
		return nil
	}
	_, err := d.Commit(t.Context(), []transport.Naming{{Desc: next.root}})
	if err == nil {
		checkState(t, "at the end", dir, s, next, next)
		return "at the end", false
	}
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	checkState(t, when, dir, s, old, next)
	return when, true
}

// checkState checks that the directory shows one of two images.
func checkState(t *testing.T, when, dir string, s *testimage.Store, old, next state) {
	t.Helper()
	src := openSource(t, dir)
	root, err := src.Root(t.Context())
	if err != nil {
		if old.root.Digest != "" {
			t.Errorf("%s: no image: %v", when, err)
		}
		return
	}
	is := old
	if root.Digest == next.root.Digest {
		is = next
	}
	if root.Digest != is.root.Digest {
		t.Fatalf("%s: the root is %s, want %s or %s", when, root.Digest, old.root.Digest, next.root.Digest)
	}
	checkGraph(t, src, s, is.root)
	if is.algorithm == digest.SHA512 {
		if v, err := readVersion(src.root); v != newestVersion() {
			t.Errorf("%s: the version is %s, %v, and there are digests of sha512", when, v, err)
		}
	}

	sigs, err := src.Signatures(t.Context(), root.Digest)
	if err != nil {
		t.Fatal(when, err)
	}
	either := []string{fmt.Sprintf("%q", is.sigs[root.Digest]), fmt.Sprintf("%q", is.sigs[root.Digest])}
	if old.root.Digest == next.root.Digest { // only the signatures change
		either[0] = fmt.Sprintf("%q", old.sigs[root.Digest])
	}
	if got := fmt.Sprintf("%q", sigs); !slices.Contains(either, got) {
		t.Errorf("%s: signatures of %s are %s, want one of %s", when, root.Digest, got, either)
	}
	plain, err := readSignatures(src.root, "")
	if err != nil {
		t.Fatal(when, err)
	}
	if got := fmt.Sprintf("%q", plain); !slices.Contains(append(either, "[]"), got) {
		t.Errorf("%s: signature-N of %s are %s, want one of %s, or none", when, root.Digest, got, either)
	}
	for _, m := range slices.Sorted(maps.Keys(is.sigs)) {
		if m == root.Digest {
			continue
		}
		sigs, err := src.Signatures(t.Context(), m)
		if err != nil {
			t.Fatal(when, err)
		}
		either := []string{fmt.Sprintf("%q", old.sigs[m]), fmt.Sprintf("%q", next.sigs[m])}
		if got := fmt.Sprintf("%q", sigs); !slices.Contains(either, got) {
			t.Errorf("%s: signatures of %s are %s, want one of %s", when, m, got, either)
		}
	}
}
