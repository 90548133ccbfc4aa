package archive

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/tarindex"
)

// agreement is what it takes to compare manifest.json with index.json.
type agreement struct {
	r       *Reader
	entries []ocispec.Descriptor // of index.json
	named   map[string][]int     // which of them have a name
	images  map[digest.Digest]*reached
	// byConfig are the images that have a config of that digest.
	byConfig map[digest.Digest][]*reached
	// digests are those that an entry of the archive has as a config, by the algorithms
	// that configs are known by here.
	digests    map[tarindex.Member][]digest.Digest
	algorithms []digest.Algorithm
}

// reached is an image that can be reached from index.json.
type reached struct {
	manifest *image.Manifest
	entries  []int
}

// agree checks that what manifest.json says, if it is there, index.json says as well: each of
// its images can be reached from index.json, and none of its names is another image's there.
// It returns for each of its images the entry that has it, and index.json with the names that
// only manifest.json knows. Some read the one file, and some the other: where they differ,
// nobody can tell what the archive was meant to hold.
func (r *Reader) agree(ctx context.Context, list *image.List) (*image.List, []ocispec.Descriptor, error) {
	if !r.tar.Has(manifestFile) {
		return list, nil, nil
	}
	items, err := r.readManifest()
	if err != nil {
		return nil, nil, err
	}
	a := &agreement{
		r: r, entries: list.Instances(), named: map[string][]int{}, images: map[digest.Digest]*reached{},
		byConfig: map[digest.Digest][]*reached{}, digests: map[tarindex.Member][]digest.Digest{},
	}
	for i, e := range a.entries {
		name := dockerName(e)
		a.named[name] = append(a.named[name], i)
	}
	if err := a.walk(ctx); err != nil {
		return nil, nil, fmt.Errorf("comparing %s with %s: %w", manifestFile, ocispec.ImageIndexFile, err)
	}
	var roots, named []ocispec.Descriptor
	for i, item := range items {
		root, more, err := a.item(ctx, item)
		if err != nil {
			return nil, nil, fmt.Errorf("%s and %s disagree about image %d of the former: %w", manifestFile, ocispec.ImageIndexFile, i, err)
		}
		roots, named = append(roots, root), append(named, more...)
	}
	list, err = ocilayout.Set(ctx, list, named, dockerName)
	return list, roots, err
}

// walk finds the images behind all entries.
func (a *agreement) walk(ctx context.Context) error {
	walker := image.Walker{
		Fetch: func(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
			return a.r.small(desc, a.r.opts.Limits.DocumentBytes)
		},
		Limits:  a.r.opts.Limits,
		Missing: func(*image.Node, error) error { return nil }, // an archive need not have all instances
		Budget:  image.NewBudget(image.Limits{GraphNodes: 10 * a.r.opts.Limits.GraphNodes, GraphBytes: a.r.opts.Limits.GraphBytes}),
	}
	below := map[digest.Digest][]*reached{} // an entry
	for i, e := range a.entries {
		if !image.IsDocument(e.MediaType) {
			continue
		}
		images, known := below[e.Digest]
		if !known {
			graph, err := walker.Walk(ctx, e)
			if err != nil && !errdefs.IsNotFound(err) {
				return err
			}
			if err == nil {
				images = a.imagesIn(graph)
			}
			below[e.Digest] = images
		}
		for _, im := range images {
			im.entries = append(im.entries, i)
		}
	}
	return nil
}

// imagesIn returns the images of a graph.
func (a *agreement) imagesIn(graph *image.Graph) (images []*reached) {
	for _, n := range graph.Nodes() {
		m, ok := n.Doc.(*image.Manifest)
		if !ok || !m.IsImage() {
			continue
		}
		im := a.images[n.Desc.Digest]
		if im == nil {
			im = &reached{manifest: m}
			config := m.Config().Digest
			a.images[n.Desc.Digest] = im
			a.byConfig[config] = append(a.byConfig[config], im)
			if alg := config.Algorithm(); !slices.Contains(a.algorithms, alg) {
				a.algorithms = append(a.algorithms, alg)
			}
		}
		images = append(images, im)
	}
	return images
}

// item returns the entry that has an image of manifest.json, and an entry for each of its
// names that index.json does not have.
func (a *agreement) item(ctx context.Context, item manifestItem) (root ocispec.Descriptor, named []ocispec.Descriptor, err error) {
	im, err := a.find(ctx, item)
	if err != nil {
		return root, nil, err
	}
	root = a.entries[im.entries[0]]
	for i, name := range item.RepoTags {
		at := slices.IndexFunc(a.named[name], func(entry int) bool {
			_, ok := slices.BinarySearch(im.entries, entry)
			return ok
		})
		switch {
		case at >= 0 && i == 0:
			root = a.entries[a.named[name][at]]
		case at >= 0:
		case a.named[name] != nil:
			return root, nil, fmt.Errorf("the name %q is that of %s in the latter: %w", name, a.entries[a.named[name][0]].Digest, errdefs.ErrInvalidArgument)
		default:
			e := root
			e.Annotations = maps.Clone(root.Annotations)
			if e.Annotations == nil {
				e.Annotations = map[string]string{}
			}
			maps.Copy(e.Annotations, annotations(Docker, name))
			named = append(named, e)
		}
	}
	return root, named, nil
}

// find returns the image that an item of manifest.json is.
func (a *agreement) find(ctx context.Context, item manifestItem) (*reached, error) {
	digests, err := a.digestsOf(ctx, item.Config)
	if err != nil {
		return nil, err
	}
	for _, d := range digests {
		for _, im := range a.byConfig[d] {
			same, err := a.sameLayers(item, im.manifest)
			if same || err != nil {
				return im, err
			}
		}
	}
	return nil, fmt.Errorf("the latter has no image with the config %q and its layers: %w", item.Config, errdefs.ErrInvalidArgument)
}

// digestsOf returns the digests that a config may be known by.
func (a *agreement) digestsOf(ctx context.Context, name string) ([]digest.Digest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := a.r.tar.Lookup(name)
	if err != nil {
		return nil, entryError(err)
	}
	if known, ok := a.digests[m]; ok {
		return known, nil
	}
	data, err := a.r.tar.Bytes(name, a.r.opts.Limits.ConfigBytes)
	if err != nil {
		return nil, err
	}
	for _, alg := range a.algorithms {
		a.digests[m] = append(a.digests[m], alg.FromBytes(data))
	}
	return a.digests[m], nil
}

// sameLayers reports whether the layers of an image of manifest.json are the very entries of
// the archive that those of a manifest are.
func (a *agreement) sameLayers(item manifestItem, m *image.Manifest) (bool, error) {
	layers := m.Layers()
	if len(layers) != len(item.Layers) {
		return false, nil
	}
	for i, l := range layers {
		said, err := a.r.tar.Lookup(item.Layers[i])
		if err != nil {
			return false, entryError(err)
		}
		blob, err := a.r.blob(ocispec.Descriptor{Digest: l.Digest, Size: -1})
		if errdefs.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if said != blob {
			return false, nil
		}
	}
	return true, nil
}

// entryError is the error for an entry that manifest.json names: it must be there.
func entryError(err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("%v: %w", err, errdefs.ErrInvalidArgument) //nolint:errorlint // the image that was asked for is there
	}
	return err
}
