package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestCommitDescribesEntries(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}})
	bare := func(d ocispec.Descriptor) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	}
	odd := bare(s.Image(testimage.Image{Platform: linux("amd64")}))
	odd.Platform = &ocispec.Platform{}
	annotated := bare(im)
	annotated.Annotations = map[string]string{ocispec.AnnotationRefName: "at-the-source", "io.containerd.image.name": "docker.io/x/y:z"}
	unsized := bare(im)
	unsized.Size = -1
	index := s.Index(im)
	referrer := s.Referrer(im, "application/x.test", "1")
	tag, signature := s.CosignTag(im, "sig")
	noConfig := bare(s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "config": s.Put(ocispec.MediaTypeImageConfig, []byte("no JSON")), "layers": []any{},
	}))

	d := openDestination(t, filepath.Join(t.TempDir(), "layout")+":own")
	for _, root := range []ocispec.Descriptor{im, odd, index, referrer, signature, noConfig} {
		put(t, d, s, root)
	}
	notes := transporttest.Commit(t, d,
		transport.Naming{Desc: bare(im)},
		transport.Naming{Name: "odd", Desc: odd},
		transport.Naming{Name: "annotated", Desc: annotated},
		transport.Naming{Name: "unsized", Desc: unsized},
		transport.Naming{Name: "index", Desc: index},
		transport.Naming{Name: tag, Desc: signature},
		transport.Naming{Name: "-no-name-", Desc: bare(noConfig)},
		transport.Naming{Desc: bare(referrer), Subject: im.Digest},
	)
	if len(notes) != 1 || !strings.Contains(notes[0], `"-no-name-"`) || !strings.Contains(notes[0], noConfig.Digest.String()) {
		t.Errorf("notes: %q; want one on the name that is not valid", notes)
	}
	want := []ocispec.Descriptor{
		named(bare(im), "own", im.Platform), named(bare(odd), "odd", &ocispec.Platform{OS: "linux", Architecture: "amd64"}),
		named(bare(im), "annotated", im.Platform), named(bare(im), "unsized", im.Platform), named(bare(index), "index", nil),
		named(bare(signature), tag, nil), noConfig, bare(referrer),
	}
	want[7].ArtifactType = "application/x.test"
	if diff := cmp.Diff(want, entries(t, d.ref.Path)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func named(d ocispec.Descriptor, name string, p *ocispec.Platform) ocispec.Descriptor {
	d.Annotations, d.Platform = map[string]string{ocispec.AnnotationRefName: name}, p
	return d
}

func TestCommitKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	dir := writeLayout(t, s)
	const foreign = `{"mediaType":"application/x.foreign","size":3,"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","x":[1.50,{"y":null}],"annotations":{"b":"2","a":"1"}}`
	writeFile(t, []byte(`{"more":{"z":1,"a":2},"schemaVersion":2,"manifests":[`+foreign+`],"annotations":{"k":"v"}}`), dir, ocispec.ImageIndexFile)
	d := openDestination(t, dir+":latest")
	put(t, d, s, im)
	transporttest.Commit(t, d, transport.Naming{Desc: im})
	got := string(readFile(t, dir, ocispec.ImageIndexFile))
	for _, part := range []string{`"more":{"z":1,"a":2}`, foreign, `"annotations":{"k":"v"}`, im.Digest.String()} {
		if !strings.Contains(got, part) {
			t.Errorf("index.json has no %s:\n%s", part, got)
		}
	}
}

func TestCommitOfNothingNewWritesNothing(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	// An entry with more than ours has, written with spaces.
	referrer := s.Referrer(im, "application/spdx+json", "sbom")
	dir := writeLayout(t, s, testimage.Named{Name: "latest", Desc: im}, testimage.Named{Desc: referrer})
	data := readFile(t, dir, ocispec.ImageIndexFile)
	writeFile(t, append(data, "\n \n"...), dir, ocispec.ImageIndexFile)
	stat := func() map[string]string {
		seen := map[string]string{}
		for _, path := range append(tree(t, dir), dir) {
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			seen[path] = info.ModTime().String()
		}
		return seen
	}
	before := stat()
	d := openDestination(t, dir+":latest")
	put(t, d, s, im)
	put(t, d, s, referrer)
	transporttest.Commit(t, d, transport.Naming{Desc: im}, transport.Naming{Desc: referrer, Subject: im.Digest})
	transporttest.Close(t, d)
	if diff := cmp.Diff(before, stat()); diff != "" {
		t.Errorf("files and times (-before +after):\n%s", diff)
	}
}

func TestCommitOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	if notes, err := d.Commit(t.Context(), nil); notes != nil || err != nil {
		t.Errorf("Commit of nothing: %v, %v", notes, err)
	}
	if found := tree(t, d.ref.Path); len(found) > 0 {
		t.Errorf("Commit of nothing made %q", found)
	}
	if _, err := d.Commit(t.Context(), []transport.Naming{{Desc: im}}); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), im.Digest.String()) {
		t.Errorf("Commit: %v; want a failed precondition", err)
	}
	if got := entries(t, d.ref.Path); len(got) > 0 {
		t.Errorf("entries: %v", got)
	}
}

func TestCommitMovesAllNamesOrNone(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im, absent := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")})
	d := openDestination(t, filepath.Join(t.TempDir(), "layout")+":a")
	put(t, d, s, im)
	if _, err := d.Commit(t.Context(), []transport.Naming{{Desc: im}, {Name: "b", Desc: absent}}); err == nil {
		t.Error("Commit: no error")
	}
	if got := entries(t, d.ref.Path); len(got) > 0 {
		t.Errorf("entries: %v", got)
	}
}

func TestCommitOfADamagedIndex(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	dir := writeLayout(t, s)
	d := openDestination(t, dir)
	put(t, d, s, im)
	writeFile(t, nil, dir, ocispec.ImageIndexFile)
	if _, err := d.Commit(t.Context(), []transport.Naming{{Desc: im}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("Commit: %v; want an invalid argument", err)
	}
	if data := readFile(t, dir, ocispec.ImageIndexFile); len(data) > 0 {
		t.Errorf("what was there was overwritten: %s", data)
	}
}

func TestCommitSparse(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	index := s.Index(im, s.Image(testimage.Image{Platform: linux("arm64")}))
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	for _, desc := range []ocispec.Descriptor{im, index} { // no config, no layers, one instance
		role := image.RoleManifest
		if image.IsList(desc.MediaType) {
			role = image.RoleIndex
		}
		if _, err := d.Put(t.Context(), transport.Node{Desc: desc, Role: role}, s.Opener(desc)); err != nil {
			t.Fatal(err)
		}
	}
	bare := im
	bare.Platform = nil
	transporttest.Commit(t, d, transport.Naming{Name: "list", Desc: index}, transport.Naming{Name: "image", Desc: bare})
	if got := entries(t, d.ref.Path); len(got) != 2 || got[1].Platform != nil {
		t.Errorf("entries: %+v", got)
	}
}

func TestCommitWritesWhatItCanRead(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	index := func(names, padding int) []byte {
		list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Annotations: map[string]string{"x": strings.Repeat("x", padding)}}
		for i := range names {
			list.Manifests = append(list.Manifests, named(im, fmt.Sprint(i), nil))
		}
		data, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	room := ocilayout.MaxIndexBytes - len(index(1, 0))
	for name, tc := range map[string]struct {
		index  []byte
		limits image.Limits
		kind   error
		text   []string
	}{
		"bytes":           {index: index(1, room), kind: errdefs.ErrResourceExhausted, text: []string{"index.json would have 8388", "the limit is 8388608"}},
		"bytes that fit":  {index: index(1, room-1000)},
		"entries":         {index: index(3, 0), limits: image.Limits{Descriptors: 3}, kind: errdefs.ErrResourceExhausted, text: []string{"4 entries", "the limit is 3"}},
		"entries that do": {index: index(3, 0), limits: image.Limits{Descriptors: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := writeLayout(t, s)
			writeFile(t, tc.index, dir, ocispec.ImageIndexFile)
			d, err := OpenDestination(t.Context(), mustParse(t, dir+":new"), Options{Limits: tc.limits})
			if err != nil {
				t.Fatal(err)
			}
			defer transporttest.Close(t, d)
			put(t, d, s, im)
			_, err = d.Commit(t.Context(), []transport.Naming{{Desc: im}})
			if !errors.Is(err, tc.kind) {
				t.Fatalf("Commit: %v; want %v", err, tc.kind)
			}
			for _, text := range tc.text {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("Commit: %v; want it to say %q", err, text)
				}
			}
			if err != nil && !bytes.Equal(readFile(t, dir, ocispec.ImageIndexFile), tc.index) {
				t.Error("index.json is another one")
			}
			openSource(t, dir, Options{Limits: tc.limits}) // fails if it cannot be read
		})
	}
}
