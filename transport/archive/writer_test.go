package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// written is an archive of images that are put and committed one after the other.
type written struct {
	*Writer
	buf bytes.Buffer
	s   *testimage.Store
}

func newWritten(tb testing.TB, kind Kind, opts Options, s *testimage.Store) *written {
	tb.Helper()
	w := &written{s: s}
	var err error
	if w.Writer, err = NewWriter(&w.buf, kind, opts); err != nil {
		tb.Fatal(err)
	}
	return w
}

// add adds an image, and returns the notes.
func (w *written) add(tb testing.TB, root ocispec.Descriptor, names ...string) []string {
	tb.Helper()
	d, err := w.Image(names...)
	if err != nil {
		tb.Fatal(err)
	}
	put(tb, d, w.s, root)
	return transporttest.Commit(tb, d, transport.Naming{Desc: root})
}

// finish ends the archive, and returns its headers and contents.
func (w *written) finish(tb testing.TB) ([]*tar.Header, map[string]string) {
	tb.Helper()
	if err := w.Finish(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	transporttest.Close(tb, w)
	return unpackAll(tb, w.buf.Bytes())
}

func blobPath(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

// TestExactFiles holds the archive of one image, byte for byte but for the blobs.
func TestExactFiles(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind][]string{
		Docker: {"index.json", "manifest.json"},
		OCI:    {"index.json"},
	} {
		s := &testimage.Store{}
		root := s.Plain(linux("amd64"), "one", "two")
		w := newWritten(t, kind, Options{}, s)
		notes := w.add(t, root, map[Kind]string{Docker: "busybox", OCI: "v1"}[kind])
		headers, contents := w.finish(t)
		if len(notes) > 0 {
			t.Errorf("%s: notes %q", kind, notes)
		}
		names := []string{"oci-layout", "blobs/", "blobs/sha256/"}
		m := manifestIn(t, s, root)
		for _, d := range []ocispec.Descriptor{m.Layers()[1], m.Layers()[0], m.Config(), root} {
			names = append(names, blobPath(d.Digest))
		}
		names = append(names, want...)
		for i, hdr := range headers {
			if i >= len(names) || hdr.Name != names[i] {
				t.Fatalf("%s: entry %d is %q; want %q", kind, i, hdr.Name, names)
			}
			mode := int64(0o644)
			if strings.HasSuffix(hdr.Name, "/") {
				mode = 0o755
			}
			if hdr.Mode != mode || hdr.Uid != 0 || hdr.Gid != 0 || hdr.Uname != "" || hdr.Gname != "" || !hdr.ModTime.Equal(time.Unix(0, 0)) || hdr.Format != tar.FormatUSTAR {
				t.Errorf("%s: %+v", kind, hdr)
			}
		}
		for _, d := range blobsOf(headers) {
			if contents[blobPath(d)] != string(s.Get(d)) {
				t.Errorf("%s: blob %s is not what was put", kind, d)
			}
		}
		annotations := map[Kind]string{
			Docker: `"io.containerd.image.name":"docker.io/library/busybox:latest","org.opencontainers.image.ref.name":"latest"`,
			OCI:    `"org.opencontainers.image.ref.name":"v1"`,
		}[kind]
		for name, want := range map[string]string{
			"oci-layout": `{"imageLayoutVersion":"1.0.0"}`,
			"index.json": fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{%s},"platform":{"architecture":"amd64","os":"linux"}}]}`,
				ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, root.Digest, root.Size, annotations),
			"manifest.json": map[Kind]string{Docker: fmt.Sprintf(`[{"Config":%q,"RepoTags":["busybox:latest"],"Layers":[%q,%q]}]`,
				blobPath(m.Config().Digest), blobPath(m.Layers()[0].Digest), blobPath(m.Layers()[1].Digest))}[kind],
		} {
			if contents[name] != want {
				t.Errorf("%s: %s is\n%s\nwant\n%s", kind, name, contents[name], want)
			}
		}
	}
}

func manifestIn(tb testing.TB, s *testimage.Store, desc ocispec.Descriptor) *image.Manifest {
	tb.Helper()
	doc, err := image.Decode(s.Get(desc.Digest), image.Declared{Descriptor: desc.MediaType}, image.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return doc.(*image.Manifest)
}

// TestSeveralImages writes images that share blobs, under several names or none, and reads
// them again.
func TestSeveralImages(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	amd, arm := s.Image(testimage.Image{Platform: linux("amd64"), Layers: 2}), s.Image(testimage.Image{Platform: linux("arm64")})
	list := s.Index(amd, arm, s.Attestation(amd))
	artifact := s.Referrer(amd, "application/x.test", "x")
	tag, signature := s.CosignTag(list, "sig")
	write := func(t *testing.T) *written {
		t.Helper()
		w := newWritten(t, Docker, Options{Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64"}}, s)
		d, err := w.Image("app:v1", "docker.io/library/app:v1", "example.com/app", "app")
		if err != nil {
			t.Fatal(err)
		}
		put(t, d, s, list, artifact, signature)
		notes := transporttest.Commit(t, d, transport.Naming{Desc: list}, transport.Naming{Desc: artifact, Subject: amd.Digest}, transport.Naming{Name: tag, Desc: signature},
			transport.Naming{Name: "no tag", Desc: arm})
		if len(notes) != 1 || !strings.Contains(notes[0], `"no tag"`) {
			t.Errorf("notes: %q", notes)
		}
		w.add(t, amd, "amd")
		w.add(t, arm)
		return w
	}
	w := write(t)
	headers, contents := w.finish(t)
	blobs := blobsOf(headers)
	if slices.Sort(blobs); !slices.Equal(blobs, s.Digests()) {
		t.Errorf("the archive has %d blobs, of which %d differ; want %d, each once", len(blobs), len(slices.Compact(blobs)), len(s.Digests()))
	}
	manifest := func(d digest.Digest, tags string) string {
		m := manifestIn(t, s, ocispec.Descriptor{Digest: d, MediaType: ocispec.MediaTypeImageManifest})
		var layers []string
		for _, l := range m.Layers() {
			layers = append(layers, `"`+blobPath(l.Digest)+`"`)
		}
		return fmt.Sprintf(`{"Config":%q,"RepoTags":%s,"Layers":[%s]}`, blobPath(m.Config().Digest), tags, strings.Join(layers, ","))
	}
	want := "[" + manifest(arm.Digest, `["app:v1","example.com/app:latest","app:latest"]`) + "," + manifest(amd.Digest, `["amd:latest"]`) + "]"
	if contents["manifest.json"] != want {
		t.Errorf("manifest.json:\n%s\nwant:\n%s", contents["manifest.json"], want)
	}
	again := write(t)
	again.finish(t)
	if !bytes.Equal(again.buf.Bytes(), w.buf.Bytes()) {
		t.Error("the same images gave another archive")
	}

	r := mustRead(t, w.buf.Bytes(), Docker)
	images := imagesOf(t, r)
	if len(images) != 3 || images[0].Root.Digest != list.Digest || images[1].Root.Digest != arm.Digest || images[2].Root.Digest != amd.Digest {
		t.Fatalf("images: %+v", images)
	}
	if names := []string{"docker.io/library/app:v1", "example.com/app:latest", "docker.io/library/app:latest"}; !slices.Equal(images[0].Names, names) || images[1].Names != nil {
		t.Errorf("names %q and %q, want %q", images[0].Names, images[1].Names, names)
	}
	src := images[0].Source()
	graph(t, src)
	if found, err := src.Referrers(t.Context(), amd.Digest); err != nil || len(found) != 1 || found[0].Digest != artifact.Digest || found[0].ArtifactType != "application/x.test" {
		t.Errorf("Referrers: %+v, %v", found, err)
	}
	var tags []string
	if err := src.Names(t.Context(), func(name string) bool { tags = append(tags, name); return true }); err != nil || !slices.Equal(tags, []string{"v1", "latest", tag}) {
		t.Errorf("Names: %q, %v", tags, err)
	}
	if desc, err := src.Resolve(t.Context(), tag); err != nil || desc.Digest != signature.Digest {
		t.Errorf("Resolve of a tag of cosign: %v, %v", desc, err)
	}
	for position, want := range []digest.Digest{list.Digest, amd.Digest} {
		if im, err := r.view.find(t.Context(), "", position); err != nil || im.root().Digest != want {
			t.Errorf("@%d: %v, %v; want %s", position, im, err, want)
		}
	}
	if im, err := r.view.find(t.Context(), "", 2); !errdefs.IsNotFound(err) {
		t.Errorf("@2: %v, %v", im, err)
	}
}

// TestWhatManifestFileHas looks at the item of one image at a time.
func TestWhatManifestFileHas(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	amd, arm, s390x := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")}), s.Image(testimage.Image{Platform: linux("s390x")})
	windows := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}})
	docker := s.Image(testimage.Image{Platform: linux("riscv64"), Family: testimage.Docker})
	empty := s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
		"config": s.Put(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)),
	})
	mismatched := s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": manifestIn(t, s, amd).Layers(), "config": manifestIn(t, s, empty).Config(),
	})
	broken := s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{}, "config": s.Put(ocispec.MediaTypeImageConfig, []byte("no config")),
	})
	_, signature := s.CosignTag(amd, "sig")
	of := func(platform string) *ocispec.Platform { p := linux(platform); return &p }
	for name, tc := range map[string]struct {
		root  ocispec.Descriptor
		opts  Options
		leave []digest.Digest // what is not put
		want  digest.Digest   // the manifest; or empty
		note  string
	}{
		"an image":                              {root: s390x, want: s390x.Digest},
		"a Docker image":                        {root: docker, want: docker.Digest},
		"an image without layers":               {root: empty, want: empty.Digest},
		"a list, and a platform is asked":       {root: s.Index(amd, arm, s390x), opts: Options{Platform: of("s390x")}, want: s390x.Digest},
		"a list without the platform":           {root: s.Index(s390x), opts: Options{Platform: of("amd64")}, want: s390x.Digest},
		"a list without any that is known":      {root: s.Index(windows), want: windows.Digest},
		"a list in a list":                      {root: s.Index(s.Index(arm)), want: arm.Digest},
		"a Docker list":                         {root: s.List(docker), want: docker.Digest},
		"a list of which the best is not there": {root: s.Index(arm, amd), opts: Options{Platform: of("arm64")}, leave: []digest.Digest{arm.Digest}, want: amd.Digest},
		"a list with a layer missing":           {root: s.Index(arm), leave: []digest.Digest{manifestIn(t, s, arm).Layers()[0].Digest}, note: "no instance of the list is there whole"},
		"a list without entries":                {root: s.Index(), note: "no instance"},
		"an image with a layer missing":         {root: arm, leave: []digest.Digest{manifestIn(t, s, arm).Layers()[0].Digest}, note: "is not there"},
		"an artifact":                           {root: s.Referrer(amd, "application/x", "1"), note: "artifact"},
		"a signature of cosign":                 {root: signature, note: "is of type"},
		"another number of layers":              {root: mismatched, note: "1 layers, its config 0"},
		"a config that is none":                 {root: broken, note: "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWritten(t, Docker, tc.opts, s)
			d, err := w.Image("busybox")
			if err != nil {
				t.Fatal(err)
			}
			g, err := image.Walker{Fetch: s.Fetch}.Walk(t.Context(), tc.root)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range slices.Backward(g.Nodes()) {
				if slices.Contains(tc.leave, n.Desc.Digest) {
					continue
				}
				if _, err := d.Put(t.Context(), transport.Node{Desc: n.Desc, Role: n.Role}, s.Opener(n.Desc)); err != nil {
					t.Fatal(err)
				}
			}
			notes := transporttest.Commit(t, d, transport.Naming{Desc: tc.root})
			if got := strings.Join(notes, "; "); (got == "") != (tc.note == "") || !strings.Contains(got, tc.note) {
				t.Errorf("notes %q, want %q", notes, tc.note)
			}
			_, contents := w.finish(t)
			want := ""
			if tc.want != "" {
				m := manifestIn(t, s, g.Node(tc.want).Desc)
				layers := []string{}
				for _, l := range m.Layers() {
					layers = append(layers, blobPath(l.Digest))
				}
				want = testarchive.JSON(t, []manifestItem{{blobPath(m.Config().Digest), []string{"busybox:latest"}, layers}})
			}
			if contents["manifest.json"] != want {
				t.Errorf("manifest.json is %q, want %q", contents["manifest.json"], want)
			}
		})
	}
}

func TestImageRefusesNames(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]Kind{"": Docker, "UPPER": Docker, "a@sha256:" + testarchive.LayerID(0): Docker, "a b": OCI, "/": OCI} {
		if d, err := newWritten(t, kind, Options{}, nil).Image("good", name); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s %q: %v, %v", kind, name, d, err)
		}
	}
}

// TestNamesMoveInAnArchive has a name for one image, and then for another.
func TestNamesMoveInAnArchive(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	one, two := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")})
	w := newWritten(t, Docker, Options{}, s)
	w.add(t, one, "a", "b")
	w.add(t, two, "b", "c")
	if notes := w.add(t, one); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	d, err := w.Image()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context(), []transport.Naming{{Desc: s.Index()}}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Commit of what was not put: %v", err)
	}
	if _, err := d.Commit(t.Context(), []transport.Naming{{Name: "x", Desc: one}, {Name: "x", Desc: two}}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("Commit of one name for two: %v", err)
	}
	w.finish(t)
	images := imagesOf(t, mustRead(t, w.buf.Bytes(), Docker))
	if len(images) != 2 || !slices.Equal(images[0].Names, []string{"docker.io/library/a:latest"}) || !slices.Equal(images[1].Names, []string{"docker.io/library/b:latest", "docker.io/library/c:latest"}) {
		t.Errorf("images: %+v", images)
	}
	if im, err := mustRead(t, w.buf.Bytes(), OCI).view.find(t.Context(), "latest", -1); !errdefs.IsInvalidArgument(err) {
		t.Errorf("as an OCI layout three entries are called latest: %v, %v", im, err)
	}
}
