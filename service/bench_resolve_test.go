package service_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// BenchmarkResolve resolves each form of a reference in a store of 100,000 names, beside
// the lookup of the store that the form needs: what is on top of that is the service's.
func BenchmarkResolve(b *testing.B) {
	const images, names = 10_000, 10 // of each
	f := newFixture(b, service.Options{})
	config := f.src.Put(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"amd64"}`))
	var target, manifest digest.Digest
	for part := range 20 {
		var moves []store.Move
		var nodes []*image.Node
		for i := range images / 20 {
			m := f.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
				"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []ocispec.Descriptor{},
				"annotations": map[string]string{"number": fmt.Sprint(part, i)},
			})
			root := f.src.Index(m)
			target, manifest = root.Digest, m.Digest
			for n := range names {
				moves = append(moves, store.Move{Name: fmt.Sprintf("example.com/team%d/app%d:%d", part, i, n), To: root})
			}
			nodes = append(nodes, &image.Node{Desc: m, Role: image.RoleManifest}, &image.Node{Desc: root, Role: image.RoleIndex})
		}
		f.write(b, moves, nodes...)
	}
	own := f.image(b, "linux/amd64", "own")
	f.put(b, own, "own:1")
	ownConfig := f.config(b, own)
	name, short := fmt.Sprintf("example.com/team19/app%d:7", images/20-1), target.Encoded()[:12]
	target1 := func(r store.NameReader) error { _, err := r.Target(target); return err }
	for _, c := range []struct {
		name, ref string
		lookup    func(r store.NameReader) error
	}{
		{"name", name, func(r store.NameReader) error { _, err := r.Get(name); return err }},
		{"target", target.String(), target1},
		{"name and digest", name + "@" + target.String(), target1},
		{"manifest", manifest.String(), func(r store.NameReader) error { _, err := r.Containing(manifest); return err }},
		{"config", ownConfig.String(), func(r store.NameReader) error { _, err := r.Containing(ownConfig); return err }},
		{"short", short, func(r store.NameReader) error {
			if _, err := r.Prefix(short, 0); err != nil {
				return err
			}
			return target1(r)
		}},
	} {
		b.Run(c.name+"/store", func(b *testing.B) {
			for b.Loop() {
				if err := f.store.View(b.Context(), c.lookup); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/service", func(b *testing.B) {
			for b.Loop() {
				if _, err := f.Resolve(b.Context(), c.ref); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse parses a name: what Resolve cannot do without.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := ref.Parse("example.com/team19/app499:7"); err != nil {
			b.Fatal(err)
		}
	}
}
