package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/once"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/internal/tarindex"
	"github.com/dhowhq/dhow/ref"
)

// dockerView is an archive that is older than OCI layouts: it has images with a config and
// layers, and no manifests. These are made when they are asked for.
type dockerView struct {
	items []*dockerItem
	file  string // that names them
}

// dockerItem is an image whose manifest may not have been made yet.
type dockerItem struct {
	names []string
	build func(ctx context.Context) (*madeImage, error)
	step  *once.Step
	made  *madeImage // when step is done
}

// newDockerView reads manifest.json.
func newDockerView(r *Reader) (*dockerView, error) {
	items, err := r.readManifest()
	if err != nil {
		return nil, err
	}
	v, m := &dockerView{file: manifestFile}, newMaker(r)
	for i, item := range items {
		v.add(item.RepoTags, func(ctx context.Context) (*madeImage, error) {
			im, err := m.image(ctx, item)
			if err != nil {
				return nil, fmt.Errorf("image %d of %s: %w", i, manifestFile, err)
			}
			return im, nil
		})
	}
	return v, nil
}

func (v *dockerView) add(names []string, build func(ctx context.Context) (*madeImage, error)) {
	v.items = append(v.items, &dockerItem{names: names, build: build, step: once.New()})
}

// image returns the image, made.
func (i *dockerItem) image(ctx context.Context) (*madeImage, error) {
	err := i.step.Do(ctx, func() (err error) {
		i.made, err = i.build(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return i.made, nil
}

func (v *dockerView) images(ctx context.Context) ([]Image, error) {
	var all []Image
	for i, item := range v.items {
		im, err := v.imageAt(ctx, i, "")
		if err != nil {
			return nil, err
		}
		all = append(all, Image{Root: im.root(), Names: slices.Clone(item.names), image: im})
	}
	return all, nil
}

func (v *dockerView) find(ctx context.Context, name string, position int) (imageView, error) {
	switch {
	case name != "":
		for i, item := range v.items {
			if slices.Contains(item.names, name) {
				return v.imageAt(ctx, i, name)
			}
		}
		return nil, fmt.Errorf("tag %s not found; there are %s: %w", strictjson.Quote(name), v.describe(), errdefs.ErrNotFound)
	case position >= len(v.items):
		return nil, fmt.Errorf("there is no image %d, %s has %d: %w", position, v.file, len(v.items), errdefs.ErrNotFound)
	case position >= 0:
		return v.imageAt(ctx, position, "")
	case len(v.items) != 1:
		return nil, fmt.Errorf("unexpected tar %s: expected 1 item, got %d; choose one: %s: %w", v.file, len(v.items), v.describe(), errdefs.ErrInvalidArgument)
	}
	return v.imageAt(ctx, 0, "")
}

// maxListed is how many images an error lists.
const maxListed = 20

// describe lists the images for a message.
func (v *dockerView) describe() string {
	var all []string
	for i, item := range v.items[:min(len(v.items), maxListed)] {
		if len(item.names) == 0 {
			all = append(all, fmt.Sprintf("@%d", i))
			continue
		}
		all = append(all, strictjson.Quote(item.names[0]))
	}
	if more := len(v.items) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}

// imageAt returns an image that is known by that name, or else by its first.
func (v *dockerView) imageAt(ctx context.Context, i int, name string) (*dockerImage, error) {
	made, err := v.items[i].image(ctx)
	if err != nil {
		return nil, err
	}
	im := &dockerImage{v: v, madeImage: made}
	if name == "" {
		name = first(v.items[i].names)
	}
	if r, err := ref.Parse(name); err == nil {
		im.repository = r.Name()
	}
	return im, nil
}

// dockerImage is an image of an older archive.
type dockerImage struct {
	*madeImage
	v          *dockerView
	repository string // of its name; or empty
}

// madeImage is an image with a manifest that was made for it.
type madeImage struct {
	r         *Reader
	desc      ocispec.Descriptor
	documents map[digest.Digest][]byte          // the manifest, and what else was made
	members   map[digest.Digest]tarindex.Member // the layers, and the config if it was not made
}

func (im *madeImage) root() ocispec.Descriptor { return im.desc }

func (im *madeImage) open(desc ocispec.Descriptor) (*io.SectionReader, error) {
	var section *io.SectionReader
	if data, ok := im.documents[desc.Digest]; ok {
		section = io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
	} else if m, ok := im.members[desc.Digest]; ok {
		section = im.r.tar.Open(m)
	} else {
		return nil, missing(desc.Digest)
	}
	return section, checkSize(desc, section.Size())
}

func (im *madeImage) referrers(context.Context, digest.Digest) ([]ocispec.Descriptor, error) {
	return []ocispec.Descriptor{}, nil
}

// names yields the tags of the image's repository.
func (im *dockerImage) names(ctx context.Context, yield func(name string) bool) error {
	for _, item := range im.v.items {
		for _, name := range item.names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r, err := ref.Parse(name); err == nil && r.Name() == im.repository && !yield(r.Tag()) {
				return nil
			}
		}
	}
	return nil
}

func (im *dockerImage) resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if im.repository == "" {
		return ocispec.Descriptor{}, fmt.Errorf("the image has no name: %w", errdefs.ErrNotFound)
	}
	found, err := im.v.find(ctx, im.repository+":"+name, -1)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return found.root(), nil
}
