package dir

import (
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// FuzzSource reads a directory that holds anything, and plans to replace it.
func FuzzSource(f *testing.F) {
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	list := s.Index(im)
	ref := s.Referrer(im, "application/x", "1")
	signed, _ := signedSchema1(im.Digest)
	f.Add(s.Get(list.Digest), s.Get(ref.Digest), sha256Version().content(), []byte("sig"))
	f.Add(s.Get(im.Digest), []byte("{}"), newestVersion().content(), []byte{0})
	f.Add(signed, []byte("[[[["), []byte("Directory Transport Version: 9.9\n"), []byte(nil))
	f.Add([]byte(`{"schemaVersion":2,"subject":{"digest":"sha256:../x"}}`), []byte(nil), []byte(nil), []byte("%s"))
	f.Fuzz(func(t *testing.T, manifest, child, version, signature []byte) {
		dir := memoryDir(t)
		name := digest.FromBytes(child)
		for file, content := range map[string][]byte{
			"manifest.json": manifest, manifestName(name): child, blobName(name): child, "version": version,
			"signature-1": signature, signatureName(name, 1): signature,
		} {
			writeFile(t, filepath.Join(dir, file), content)
		}
		ref := reference(t, dir)
		src, err := OpenSource(t.Context(), ref, Options{})
		if err != nil {
			if _, err := OpenDestination(t.Context(), ref, Options{}); err == nil {
				t.Errorf("version %q is good for a destination only", version)
			}
			writeFile(t, filepath.Join(dir, "version"), sha256Version().content())
			src = openSource(t, dir)
		}
		defer transporttest.Close(t, src)
		desc, err := src.Root(t.Context())
		if err != nil {
			return
		}
		if err := image.VerifyBytes(manifest, desc); err != nil {
			t.Errorf("the root is %v: %v", desc, err)
		}
		for _, d := range []digest.Digest{desc.Digest, name} {
			if _, err := src.Referrers(t.Context(), d); err != nil {
				t.Errorf("referrers of %s: %v", d, err)
			}
			if _, err := src.Signatures(t.Context(), d); err != nil {
				t.Errorf("signatures of %s: %v", d, err)
			}
		}
		fuzzPlan(t, dir, transport.Naming{Desc: desc}, name)
	})
}

// fuzzPlan checks that a plan for the image that is there never takes the image
// away, and that it touches no file of others.
func fuzzPlan(t *testing.T, dir string, root transport.Naming, child digest.Digest) {
	t.Helper()
	d := openDestination(t, dir)
	plan, err := d.plan(t.Context(), d.root, target{root: root.Desc})
	if err != nil {
		t.Error(err)
	}
	for _, s := range plan.steps {
		e := parseEntry(s.name)
		if s.remove && e.kind == foreignEntry || s.name == rootName {
			t.Errorf("step %+v", s)
		}
		if s.remove && e.kind != signatureEntry && e.digest != child {
			t.Errorf("step %+v removes what was not there", s)
		}
	}
}
