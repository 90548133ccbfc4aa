package dir

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestCommitNames(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	other := s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	ref := s.Referrer(im, "application/x", "1")
	tag, cosign := s.CosignTag(im, "sig")
	none := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("none"), Size: 4}
	for _, tt := range []struct {
		name    string
		names   []transport.Naming
		further []ocispec.Descriptor // beside the root
		notes   []string             // a word of each
		kind    error
	}{
		{"the root", []transport.Naming{{Desc: im}}, nil, nil, nil},
		{"an instance out of a list", []transport.Naming{{Desc: im, Within: other.Digest}}, nil, nil, nil},
		{
			"a referrer", []transport.Naming{{Desc: im}, {Desc: ref, Subject: im.Digest}},
			[]ocispec.Descriptor{ref},
			[]string{"referrer " + ref.Digest.String() + " is kept as a further manifest: a directory has no list of referrers"}, nil,
		},
		{
			"a tag before the root", []transport.Naming{{Name: tag, Desc: cosign}, {Desc: im}},
			[]ocispec.Descriptor{cosign}, []string{tag}, nil,
		},
		{"another tag of the root", []transport.Naming{{Desc: im}, {Name: "again", Desc: im}}, nil, []string{"again"}, nil},
		{"no names", nil, nil, nil, nil},
		{"two roots", []transport.Naming{{Desc: im}, {Desc: other}}, nil, nil, errdefs.ErrInvalidArgument},
		{"no root", []transport.Naming{{Desc: ref, Subject: im.Digest}}, nil, nil, errdefs.ErrInvalidArgument},
		{"a root that was not put", []transport.Naming{{Desc: none}}, nil, nil, errdefs.ErrFailedPrecondition},
		{"a referrer that was not put", []transport.Naming{{Desc: im}, {Desc: none, Subject: im.Digest}}, nil, nil, errdefs.ErrFailedPrecondition},
		{"a root whose size is another one", []transport.Naming{{Desc: ocispec.Descriptor{MediaType: im.MediaType, Digest: im.Digest, Size: 7}}}, nil, nil, errdefs.ErrDataLoss},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "image")
			d := openDestination(t, dir)
			put(t, d, s, im)
			for _, desc := range tt.further {
				put(t, d, s, desc)
			}
			notes, err := d.Commit(t.Context(), tt.names)
			if tt.kind != nil {
				wantError(t, err, tt.kind, dir)
			} else if err != nil {
				t.Fatal(err)
			}
			if _, err := openSource(t, dir).Root(t.Context()); (err == nil) != (tt.kind == nil && len(tt.names) > 0) {
				t.Errorf("reading the root: %v", err)
			}
			if len(notes) != len(tt.notes) {
				t.Fatalf("notes are %q, want %d", notes, len(tt.notes))
			}
			for i, word := range tt.notes {
				if !strings.Contains(notes[i], word) {
					t.Errorf("note %q does not say %q", notes[i], word)
				}
			}
			src := openSource(t, dir)
			for _, desc := range tt.further {
				checkGraph(t, src, s, desc)
			}
			found, err := src.Referrers(t.Context(), im.Digest)
			if err != nil {
				t.Fatal(err)
			}
			isRef := func(desc ocispec.Descriptor) bool { return desc.Digest == ref.Digest }
			if slices.ContainsFunc(tt.further, isRef) != slices.ContainsFunc(found, isRef) {
				t.Errorf("referrers are %v", found)
			}
		})
	}
}

// What belongs to the old image alone goes; what does not belong to the format
// stays, whatever it looks like.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir, s, next := t.TempDir(), &testimage.Store{}, &testimage.Store{}
	a, b := s.Image(testimage.Image{Platform: platform("linux", "amd64")}), s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	writeImage(t, dir, s, s.Index(a, b), map[digest.Digest][]transport.Signature{
		s.Index(a, b).Digest: {[]byte("1"), []byte("2"), []byte("3")}, a.Digest: {[]byte("a")}, b.Digest: {[]byte("b1"), []byte("b2")},
	})
	foreign := map[string]string{
		"notes.txt": "mine", "signature-x": "mine", "abc.manifest.json": "mine", strings.Repeat("A", 64): "mine",
		"sub/" + strings.Repeat("a", 64): "mine", strings.Repeat("d", 64) + "/x": "mine", "dir-put-blob123": "mine",
	}
	makeFiles(t, dir, foreign)
	orphan := map[string]string{strings.Repeat("0", 64): "of a killed run", strings.Repeat("1", 64) + ".manifest.json": "of a killed run"}
	makeFiles(t, dir, orphan)

	// The new image shares instance b, whose signatures change, with the old one.
	c := next.Image(testimage.Image{Platform: platform("linux", "arm")})
	for _, d := range s.Digests() {
		next.Set(d, s.Get(d))
	}
	root := next.Index(b, c)
	sigs := map[digest.Digest][]transport.Signature{root.Digest: {[]byte("new")}, b.Digest: {[]byte("b2")}}
	want := filepath.Join(t.TempDir(), "fresh")
	writeImage(t, want, next, root, sigs)
	writeImage(t, dir, next, root, sigs)

	got, fresh := contents(t, dir), contents(t, want)
	for name, content := range foreign {
		if got[name] != content {
			t.Errorf("%s holds %q, want %q", name, got[name], content)
		}
		delete(got, name)
	}
	maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasSuffix(name, "/") })
	wantSame(t, "files", got, fresh)
}

// An instance becomes the root and the root an instance: what was manifest.json
// must get a file of its own before it is replaced.
func TestRootBecomesInstance(t *testing.T) {
	t.Parallel()
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		dir, s := t.TempDir(), &testimage.Store{Algorithm: alg}
		im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
		list := s.Index(im)
		ref := s.Referrer(im, "application/x", "1")
		sigs := map[digest.Digest][]transport.Signature{im.Digest: {[]byte("im")}}
		for i, root := range []ocispec.Descriptor{im, list, im, ref, list} {
			of := sigs
			if root.Digest == ref.Digest {
				of = nil
			}
			writeImage(t, dir, s, root, of)
			fresh := filepath.Join(t.TempDir(), "fresh")
			writeImage(t, fresh, s, root, of)
			wantSame(t, fmt.Sprintf("%s, files after image %d", alg, i), contents(t, dir), contents(t, fresh))
		}
	}
}

// The same bytes under another digest are another root.
func TestRootChangesAlgorithm(t *testing.T) {
	t.Parallel()
	dir, s, s512 := t.TempDir(), &testimage.Store{}, &testimage.Store{Algorithm: digest.SHA512}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	other := s512.Put(root.MediaType, s.Get(root.Digest))
	for _, d := range s.Digests() {
		s512.Set(d, s.Get(d))
	}
	for i, want := range []ocispec.Descriptor{root, other, root, other} {
		writeImage(t, dir, s512, want, nil)
		got, err := openSource(t, dir).Root(t.Context())
		if err != nil || got.Digest != want.Digest {
			t.Errorf("root %d is %s, %v, want %s", i, got.Digest, err, want.Digest)
		}
		version := map[bool]string{true: "1.1", false: "1.2"}[want.Digest == root.Digest]
		if got := contents(t, dir)["version"]; got != "Directory Transport Version: "+version+"\n" {
			t.Errorf("version %d is %q", i, got)
		}
	}
}

// A sparse image keeps what it reaches, and no more is asked for.
func TestSparse(t *testing.T) {
	t.Parallel()
	dir, s, some := t.TempDir(), &testimage.Store{}, &testimage.Store{}
	a, b := s.Image(testimage.Image{Platform: platform("linux", "amd64")}), s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	root := s.Index(a, b)
	for _, d := range s.Digests() {
		if d != b.Digest {
			some.Set(d, s.Get(d))
		}
	}
	writeImage(t, dir, some, root, nil)
	_, err := openSource(t, dir).Open(t.Context(), b, 0)
	wantError(t, err, errdefs.ErrNotFound)
	writeImage(t, dir, s, root, nil)
	all := contents(t, dir)
	writeImage(t, dir, some, root, nil)
	wantSame(t, "files after a sparse copy over a whole one", contents(t, dir), all)
}

// Commit without Put keeps all that the root reaches.
func TestCommitWithoutPut(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	a := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	root := s.Index(a)
	writeImage(t, dir, s, root, nil)
	before := snapshot(t, dir)
	d := openDestination(t, dir)
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	wantSame(t, "files", snapshot(t, dir), before, compareFiles)
	transporttest.Commit(t, d, transport.Naming{Desc: a})
	src := openSource(t, dir)
	checkGraph(t, src, s, a)
}

func TestSignaturesOfNoManifest(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	d := openDestination(t, dir)
	put(t, d, s, root)
	other := digest.FromString("other")
	if err := d.PutSignatures(t.Context(), other, []transport.Signature{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	_, err := d.Commit(t.Context(), []transport.Naming{{Desc: root}})
	wantError(t, err, errdefs.ErrFailedPrecondition, other.String())
}

func TestDirectoryInTheWay(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	for _, name := range []string{"manifest.json", "signature-1"} {
		dir := t.TempDir()
		makeFiles(t, dir, map[string]string{"version": string(sha256Version().content()), name + "/mine": "mine"})
		d := openDestination(t, dir)
		put(t, d, s, root)
		_, err := d.Commit(t.Context(), []transport.Naming{{Desc: root}})
		wantError(t, err, errdefs.ErrFailedPrecondition, name)
		if contents(t, dir)[name+"/mine"] != "mine" {
			t.Errorf("%s was touched", name)
		}
	}
}

// Two writers of different images: the last one wins, or, if what it put was
// removed by the other one, fails and says so. A repeat succeeds.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"held back": 100, "published": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, s := t.TempDir(), &testimage.Store{}
			a := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
			b := s.Image(testimage.Image{Platform: platform("linux", "arm64"), LayerSize: size})
			one, two := openDestination(t, dir), openDestination(t, dir)
			put(t, one, s, a)
			put(t, two, s, b)
			transporttest.Commit(t, one, transport.Naming{Desc: a})
			_, err := two.Commit(t.Context(), []transport.Naming{{Desc: b}})
			if size > 1000 {
				wantError(t, err, errdefs.ErrFailedPrecondition, "another process has replaced the image meanwhile")
				checkGraph(t, openSource(t, dir), s, a)
				writeImage(t, dir, s, b, nil)
			} else if err != nil {
				t.Fatal(err)
			}
			checkGraph(t, openSource(t, dir), s, b)
		})
	}
}

// Writers of one image into a new directory do not disturb one another.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root, a, _ := twoPlatforms(s, testimage.OCI)
	sigs := map[digest.Digest][]transport.Signature{root.Digest: {[]byte("1")}, a.Digest: {[]byte("a")}}
	fresh := filepath.Join(t.TempDir(), "fresh")
	writeImage(t, fresh, s, root, sigs)
	want := contents(t, fresh)
	for range 5 {
		dir := filepath.Join(memoryDir(t), "image")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { writeImage(t, dir, s, root, sigs) })
		}
		wg.Wait()
		wantSame(t, "files", contents(t, dir), want)
	}
}

// The same for what Has found and another writer removed.
func TestFoundAndGone(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	a := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	b := s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	writeImage(t, dir, s, a, nil)
	d := openDestination(t, dir)
	put(t, d, s, a)
	writeImage(t, dir, s, b, nil)
	_, err := d.Commit(t.Context(), []transport.Naming{{Desc: a}})
	wantError(t, err, errdefs.ErrFailedPrecondition, "another process has replaced the image meanwhile")
	checkGraph(t, openSource(t, dir), s, b)
}

// A switch that has begun is brought to its end.
func TestCommitCancelled(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	a := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	b := s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	writeImage(t, dir, s, a, map[digest.Digest][]transport.Signature{a.Digest: {[]byte("a")}})
	d := openDestination(t, dir)
	put(t, d, s, b)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	d.before = func(step) error {
		cancel()
		<-returned
		return nil
	}
	_, err := d.Commit(ctx, []transport.Naming{{Desc: b}})
	close(returned)
	wantError(t, err, context.Canceled)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, orphan := os.Lstat(filepath.Join(dir, manifestName(b.Digest)))
		root, err := openSource(t, dir).Root(t.Context())
		if err == nil && root.Digest == b.Digest && orphan != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the root is %s, %v; its other file: %v", root.Digest, err, orphan)
		}
	}
}

func TestCommitWaitsForTheLock(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	d := openDestination(t, dir)
	put(t, d, s, root)
	handle, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, handle)
	unlock, err := durable.Lock(t.Context(), handle, lockName)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Commit(ctx, []transport.Naming{{Desc: root}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Commit under another one's lock: %v", err)
	}
	if _, err := openSource(t, dir).Root(t.Context()); !errdefs.IsNotFound(err) {
		t.Errorf("root while another one holds the lock: %v", err)
	}
	// What the other one does meanwhile is seen.
	done := make(chan error)
	go func() {
		_, err := d.Commit(t.Context(), []transport.Naming{{Desc: root}})
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)
	others := signatureName("", 1)
	writeFile(t, filepath.Join(dir, others), []byte("of the other image"))
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, ok := contents(t, dir)[others]; ok {
		t.Errorf("%s of another image is still there", others)
	}
}

// A Source that was opened before a switch does not mix the two images.
func TestSourceSeesOneImage(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	a := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	b := s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	writeImage(t, dir, s, a, map[digest.Digest][]transport.Signature{a.Digest: {[]byte("a")}})
	src := openSource(t, dir)
	if _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeImage(t, dir, s, b, map[digest.Digest][]transport.Signature{b.Digest: {[]byte("b")}})
	if got := read(t, src, a); string(got) != string(s.Get(a.Digest)) {
		t.Errorf("the root is %q", got)
	}
	_, err := src.Signatures(t.Context(), a.Digest)
	wantError(t, err, errdefs.ErrFailedPrecondition, a.Digest.String())
}
