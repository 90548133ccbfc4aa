package service_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// countedStore counts how often it is asked what was built upon an image.
type countedStore struct {
	store.Store
	asked *int
}

func (s countedStore) View(ctx context.Context, f func(store.NameReader) error) error {
	return s.Store.View(ctx, func(r store.NameReader) error { return f(countedNames{r, s.asked}) })
}

type countedNames struct {
	store.NameReader
	asked *int
}

func (r countedNames) Children(config digest.Digest) ([]digest.Digest, error) {
	*r.asked++
	return r.NameReader.Children(config)
}

// TestChainOfParents shows that what stays and goes of images that are built one upon the
// other is found in a number of steps that follows theirs.
func TestChainOfParents(t *testing.T) {
	t.Parallel()
	const long = 200
	f := newFixture(t, service.Options{})
	var moves []store.Move
	var nodes []*image.Node
	parent := ""
	for i := range long {
		config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","config":{"Labels":{"n":"%d","org.mobyproject.image.parent":%q}}}`, i, parent)
		if i == 0 {
			config = `{"os":"linux","architecture":"amd64"}`
		}
		m := f.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
			"config": f.src.Put(ocispec.MediaTypeImageConfig, []byte(config)),
		})
		name := "@" + string(m.Digest)
		if i == long-1 {
			name = "docker.io/library/top:1"
		}
		moves = append(moves, store.Move{Name: name, To: targetOf(m)})
		nodes = append(nodes, nodesOf(t, f.src, m, nil)...)
		parent = string(digest.FromString(config))
	}
	f.write(t, moves, nodes...)
	asked := 0
	s := service.New(countedStore{f.store, &asked}, service.Options{})
	if p, err := s.Prune(t.Context(), service.PruneOptions{}); err != nil || len(p.Removals) > 0 || asked > 4*long {
		t.Errorf("Prune: %+v, %v, asked %d times; want nothing of %d images, in few steps", p.Removals, err, asked, long)
	}
	asked = 0
	if r, err := s.Remove(t.Context(), "top:1", service.RemoveOptions{}); err != nil || len(r.Removals) != long+1 || asked > 4*long {
		t.Errorf("Remove: %d removed, %v, asked %d times; want a name and %d images, in few steps", len(r.Removals), err, asked, long)
	}
}

// TestPruneJudgesAsGet shows that an image is judged by the instance that Get returns and
// List tells of, and not by one that is not complete.
func TestPruneJudgesAsGet(t *testing.T) {
	t.Parallel()
	host := parsePlatform(t, "linux/amd64")
	f := newFixture(t, service.Options{Host: &host})
	manifest := func(architecture, year, kind string) ocispec.Descriptor {
		config := fmt.Sprintf(`{"os":"linux","architecture":%q,"created":"%s-01-01T00:00:00Z","config":{"Labels":{"kind":%q}}}`, architecture, year, kind)
		layer, _ := f.src.Layer(architecture, 100)
		return f.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{layer},
			"config": f.src.Put(ocispec.MediaTypeImageConfig, []byte(config)),
		})
	}
	partial, whole := manifest("amd64", "2020", "partial"), manifest("arm64", "2022", "whole")
	lost := f.children(t, partial)[1].Digest
	f.putPart(t, f.src.Index(partial, whole), func(n *image.Node) bool { return n.Desc.Digest == lost }, "both:1")
	for name, opts := range map[string]service.PruneOptions{
		"until":      {All: true, Until: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)},
		"label":      {All: true, Labels: []string{"kind=partial"}},
		"not labels": {All: true, NotLabels: []string{"kind=whole"}},
	} {
		if p, err := f.Prune(t.Context(), opts); err != nil || len(p.Removals) > 0 {
			t.Errorf("%s: removed %+v, %v; want nothing", name, p.Removals, err)
		}
	}
}
