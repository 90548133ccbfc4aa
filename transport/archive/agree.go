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
)

// agreement is what it takes to compare manifest.json with index.json.
type agreement struct {
	r       *Reader
	entries []ocispec.Descriptor // of index.json
	named   map[string][]int     // which of them have a name
	// reaches are the entries from which an image can be reached, by the digest of its
	// config.
	reaches map[digest.Digest][]reached
}

// reached is an image behind an entry.
type reached struct {
	entry    int
	manifest *image.Manifest
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
	a := &agreement{r: r, entries: list.Instances(), named: map[string][]int{}, reaches: map[digest.Digest][]reached{}}
	for i, e := range a.entries {
		name := dockerName(e)
		a.named[name] = append(a.named[name], i)
	}
	if err := a.walk(ctx); err != nil {
		return nil, nil, fmt.Errorf("comparing %s with %s: %w", manifestFile, ocispec.ImageIndexFile, err)
	}
	var roots, named []ocispec.Descriptor
	for i, item := range items {
		root, more, err := a.item(item)
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
		Budget:  image.NewBudget(image.Limits{GraphNodes: 10 * a.r.opts.Limits.GraphNodes, GraphBytes: 4 * a.r.opts.Limits.GraphBytes}),
	}
	seen := map[digest.Digest][]reached{}
	for i, e := range a.entries {
		if !image.IsDocument(e.MediaType) {
			continue
		}
		if found, ok := seen[e.Digest]; ok { // under another name
			for _, f := range found {
				a.add(i, f.manifest)
			}
			continue
		}
		graph, err := walker.Walk(ctx, e)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, n := range graph.Nodes() {
			if m, ok := n.Doc.(*image.Manifest); ok && m.IsImage() {
				a.add(i, m)
				seen[e.Digest] = append(seen[e.Digest], reached{i, m})
			}
		}
	}
	return nil
}

func (a *agreement) add(entry int, m *image.Manifest) {
	config := m.Config().Digest
	a.reaches[config] = append(a.reaches[config], reached{entry, m})
}

// item returns the entry that has an image of manifest.json, and an entry for each of its
// names that index.json does not have.
func (a *agreement) item(item manifestItem) (root ocispec.Descriptor, named []ocispec.Descriptor, err error) {
	data, err := a.r.tar.Bytes(item.Config, a.r.opts.Limits.ConfigBytes)
	if err != nil {
		return root, nil, entryError(err)
	}
	var entries []int
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		for _, f := range a.reaches[alg.FromBytes(data)] {
			same, err := a.sameLayers(item, f.manifest)
			if err != nil {
				return root, nil, err
			}
			if same {
				entries = append(entries, f.entry)
			}
		}
	}
	if len(entries) == 0 {
		return root, nil, fmt.Errorf("the latter has no image with the config %q and its layers: %w", item.Config, errdefs.ErrInvalidArgument)
	}
	root = a.entries[entries[0]]
	for i, name := range item.RepoTags {
		at := slices.IndexFunc(a.named[name], func(entry int) bool { return slices.Contains(entries, entry) })
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
