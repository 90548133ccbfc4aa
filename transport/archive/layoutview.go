package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/ref"
)

// layoutView is an archive that is an OCI image layout.
type layoutView struct {
	r     *Reader
	index *ocilayout.Index

	// items are the roots of the images of manifest.json; nil if it is not looked at.
	items []ocispec.Descriptor
}

// newLayoutView reads index.json. Of a Docker archive it reads manifest.json as well, which
// must not contradict it.
func newLayoutView(ctx context.Context, r *Reader) (*layoutView, error) {
	marker, err := r.tar.Bytes(ocispec.ImageLayoutFile, ocilayout.MaxMarkerBytes)
	if err == nil {
		err = ocilayout.CheckMarker(marker)
	}
	if err != nil {
		return nil, err
	}
	list, err := r.indexFile()
	if err != nil {
		return nil, err
	}
	v := &layoutView{r: r}
	nameOf := ocilayout.RefName
	if r.kind == Docker {
		nameOf = dockerName
		if list, v.items, err = r.agree(ctx, list); err != nil {
			return nil, err
		}
	}
	v.index = ocilayout.NewIndex(list, r.document, ocilayout.Options{
		Limits: r.opts.Limits, LastWins: r.opts.LastWins, NameOf: nameOf, NoPositions: v.items != nil, Where: r.kind.String(), Logger: r.opts.Logger,
	})
	return v, nil
}

func (r *Reader) indexFile() (*image.List, error) {
	data, err := r.tar.Bytes(ocispec.ImageIndexFile, ocilayout.MaxIndexBytes)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%v: %w", err, errdefs.ErrInvalidArgument) //nolint:errorlint // the archive is there
	}
	if err != nil {
		return nil, err
	}
	return ocilayout.DecodeIndex(data, r.opts.Limits)
}

// dockerName returns the name of an entry of index.json to readers of Docker archives: the
// full one that Docker and containerd give it; or its ref.name, if that can be one; or else
// the ref.name as it is, which is no full name.
func dockerName(e ocispec.Descriptor) string {
	for _, name := range []string{e.Annotations[ocilayout.ImageName], ocilayout.RefName(e)} {
		if full := fullName(name); full != "" && strings.ContainsAny(name, "/:") {
			return full
		}
	}
	return ocilayout.RefName(e)
}

// isFull reports whether a name of index.json is the full one of an image.
func isFull(name string) bool { return name != "" && fullName(name) == name }

func (v *layoutView) images(ctx context.Context) ([]Image, error) {
	roots, err := v.index.Images(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Image, len(roots))
	at := map[digest.Digest]int{}
	for i, root := range roots {
		all[i] = Image{Root: root}
		at[root.Digest] = i
	}
	named, err := v.index.Named()
	if err != nil {
		return nil, err
	}
	for _, n := range named {
		i, ok := at[n.Desc.Digest]
		switch {
		case !ok:
		case isFull(n.Name):
			all[i].Names = append(all[i].Names, n.Name)
		default:
			all[i].RefNames = append(all[i].RefNames, n.Name)
		}
	}
	for i := range all {
		all[i].image = v.imageOf(all[i].Root, first(all[i].Names))
	}
	return all, nil
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

func (v *layoutView) find(ctx context.Context, name string, position int) (imageView, error) {
	if position >= 0 && v.items != nil {
		if position >= len(v.items) {
			return nil, fmt.Errorf("there is no image %d, %s has %d: %w", position, manifestFile, len(v.items), errdefs.ErrNotFound)
		}
		return v.imageOf(v.items[position], v.firstName(v.items[position].Digest)), nil
	}
	root, err := v.index.Root(ctx, name, position)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = v.firstName(root.Digest)
	}
	return v.imageOf(root, name), nil
}

// firstName returns the first full name that a root has; or none.
func (v *layoutView) firstName(root digest.Digest) string {
	for _, e := range v.index.Entries() {
		if name := dockerName(e); e.Digest == root && isFull(name) {
			return name
		}
	}
	return ""
}

// imageOf returns an image that is known by that name.
func (v *layoutView) imageOf(root ocispec.Descriptor, name string) *layoutImage {
	im := &layoutImage{v: v, desc: root}
	if r, err := ref.Parse(name); err == nil && v.r.kind == Docker && isFull(name) {
		im.repository = r.Name()
	}
	return im
}

// layoutImage is an image of a layout.
type layoutImage struct {
	v          *layoutView
	desc       ocispec.Descriptor
	repository string // of a Docker archive, that of its name; or empty
}

func (im *layoutImage) root() ocispec.Descriptor { return im.desc }

func (im *layoutImage) open(desc ocispec.Descriptor) (*io.SectionReader, error) {
	if self, ok := im.v.index.Self(desc.Digest); ok {
		return io.NewSectionReader(bytes.NewReader(self), 0, int64(len(self))), nil
	}
	m, err := im.v.r.blob(desc)
	if err != nil {
		return nil, err
	}
	return im.v.r.tar.Open(m), nil
}

func (im *layoutImage) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	return im.v.index.Referrers(ctx, subject)
}

// names yields the names of a layout. Of a Docker archive they are the tags of the image's
// repository, and the names that are no full ones.
func (im *layoutImage) names(ctx context.Context, yield func(name string) bool) error {
	return im.v.index.Names(ctx, func(name string) bool {
		if im.v.r.kind == Docker && isFull(name) {
			r, err := ref.Parse(name)
			if err != nil || r.Name() != im.repository {
				return true
			}
			name = r.Tag()
		}
		return yield(name)
	})
}

func (im *layoutImage) resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if im.repository != "" {
		desc, err := im.v.index.Resolve(ctx, im.repository+":"+name)
		if !errdefs.IsNotFound(err) {
			return desc, err
		}
	}
	return im.v.index.Resolve(ctx, name)
}
