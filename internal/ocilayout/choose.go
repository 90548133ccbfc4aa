package ocilayout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxListed is how many names an error lists.
const maxListed = 20

// Root returns what a reference means: the entry with a name; or that at a position
// from 0, if it is not negative; or, without either, the only image. Referrers, and
// what is tagged as belonging to a digest, do not count as images. If all others are
// manifests without a name, for a platform each and no two for the same one, index.json
// itself is the image, without those that do not count; see Self.
//
// What is not there is errdefs.ErrNotFound. A name that two entries claim is
// errdefs.ErrInvalidArgument unless they are equal or Options.LastWins is set; so is it
// where there are several images, which the error lists. An entry that is not a manifest
// or list is errdefs.ErrNotImplemented.
func (x *Index) Root(ctx context.Context, name string, position int) (ocispec.Descriptor, error) {
	desc, err := x.choose(ctx, name, position)
	if err == nil && !image.IsDocument(desc.MediaType) {
		err = fmt.Errorf("%s is not a manifest or list but %s: %w", desc.Digest, strictjson.Quote(desc.MediaType), errdefs.ErrNotImplemented)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return desc, nil
}

func (x *Index) choose(ctx context.Context, name string, position int) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	if name != "" {
		return x.Resolve(ctx, name)
	}
	entries := x.list.Instances()
	if position < 0 {
		return x.only(ctx, entries)
	}
	if position >= len(entries) {
		return ocispec.Descriptor{}, fmt.Errorf("there is no entry %d, %s has %d: %w", position, ocispec.ImageIndexFile, len(entries), errdefs.ErrNotFound)
	}
	return withoutName(entries[position]), nil
}

// Resolve returns the entry of a name; see Root for the errors.
func (x *Index) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	var found []positioned
	entries := x.list.Instances()
	for i, e := range entries {
		if x.opts.NameOf(e) == name {
			found = append(found, positioned{e, i})
		}
	}
	if len(found) == 0 {
		return ocispec.Descriptor{}, fmt.Errorf("no descriptor found for reference %s; there are %s: %w", strictjson.Quote(name), x.describe(entries), errdefs.ErrNotFound)
	}
	last := found[len(found)-1]
	for _, e := range found {
		if err := x.checkTwins(name, e, last); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	return withoutName(last.Descriptor), nil
}

// checkTwins checks two entries of one name.
func (x *Index) checkTwins(name string, a, b positioned) error {
	if x.opts.LastWins || contentOf(a.Descriptor) == contentOf(b.Descriptor) {
		return nil
	}
	choose := "choose one by its position, or "
	if x.opts.NoPositions {
		choose = ""
	}
	return fmt.Errorf("reference %s is claimed by %s and by %s; %slet the last one win: %w",
		strictjson.Quote(name), x.at(a), x.at(b), choose, errdefs.ErrInvalidArgument)
}

// Named returns every name, in the order in which they first come, with what it points at. A
// name that two entries claim is an error as it is of Root.
func (x *Index) Named() ([]Named, error) {
	var all []Named
	at := map[string]int{}
	claimed := map[string]positioned{}
	for i, e := range x.list.Instances() {
		name, p := x.opts.NameOf(e), positioned{e, i}
		if name == "" {
			continue
		}
		other, twice := claimed[name]
		claimed[name] = p
		if !twice {
			at[name] = len(all)
			all = append(all, Named{name, withoutName(e)})
			continue
		}
		if err := x.checkTwins(name, other, p); err != nil {
			return nil, err
		}
		all[at[name]].Desc = withoutName(e)
	}
	return all, nil
}

// only returns the one image of the layout.
func (x *Index) only(ctx context.Context, entries []ocispec.Descriptor) (ocispec.Descriptor, error) {
	images, err := x.Images(ctx)
	switch {
	case err != nil:
		return ocispec.Descriptor{}, err
	case len(entries) == 0:
		return ocispec.Descriptor{}, fmt.Errorf("the layout has no images: %w", errdefs.ErrNotFound)
	case len(images) == 1:
		return images[0], nil
	}
	return ocispec.Descriptor{}, fmt.Errorf("more than one image in oci, choose an image: %s: %w", x.describe(entries), errdefs.ErrInvalidArgument)
}

// Images returns what Root counts as images, each once, in the order of the index, and
// without names. What belongs to another image is one itself if there is nothing else.
func (x *Index) Images(ctx context.Context) ([]ocispec.Descriptor, error) {
	entries := distinct(x.list.Instances())
	images := slices.DeleteFunc(slices.Clone(entries), IsAttached)
	if len(images) > 1 {
		found, err := x.scan(ctx)
		if err != nil {
			return nil, err
		}
		flat, err := x.flatImage(found)
		if err != nil {
			return nil, err
		}
		if flat != nil {
			return []ocispec.Descriptor{flat.desc}, nil
		}
		images = slices.DeleteFunc(images, func(e ocispec.Descriptor) bool { return found.refers[e.Digest] })
	}
	if len(images) == 0 && len(entries) == 1 {
		images = entries
	}
	for i, e := range images {
		images[i] = withoutName(e)
	}
	return images, nil
}

// flat is a multi-platform image that index.json itself is.
type flat struct {
	desc ocispec.Descriptor
	data []byte
}

// flatImage returns index.json, without what only belongs to an image, if that is
// a multi-platform image; otherwise nil. With nothing to leave out its bytes stay.
func (x *Index) flatImage(found *scan) (*flat, error) {
	list, err := x.list.Keep(func(e ocispec.Descriptor) bool {
		_, attests := image.AttestationOf(e) // a part of the image, even if it has a subject
		return !IsAttached(e) && (attests || !found.refers[e.Digest])
	})
	if err != nil {
		return nil, err
	}
	if entries := list.Instances(); len(entries) < 2 || countFlat(entries) == 0 {
		return nil, nil //nolint:nilnil // said above
	}
	f := &flat{list.Descriptor(), list.Bytes()}
	x.flat.Store(f)
	return f, nil
}

// countFlat returns of how many platforms the entries are one image; 0 if they are
// not. Two entries for one platform are taken for two images.
func countFlat(entries []ocispec.Descriptor) int {
	seen := map[string]bool{}
	for _, e := range entries {
		if e.Platform == nil || RefName(e) != "" || !image.IsManifest(e.MediaType) {
			return 0
		}
		if _, attests := image.AttestationOf(e); attests {
			continue
		}
		p := strings.Join(append([]string{e.Platform.OS, e.Platform.Architecture, e.Platform.Variant, e.Platform.OSVersion}, e.Platform.OSFeatures...), "\x00")
		if seen[p] {
			return 0
		}
		seen[p] = true
	}
	return len(seen)
}

// IsAttached reports whether an entry is by its name no image but something that
// belongs to one, or by its media type no image at all.
func IsAttached(e ocispec.Descriptor) bool {
	name, kind, dotted := strings.Cut(RefName(e), ".")
	if _, ok := taggedDigest(name); ok && (!dotted || kind == "sig" || kind == "att" || kind == "sbom") {
		return true
	}
	return !image.IsDocument(e.MediaType)
}

// distinct drops all but the first entry of each digest: one image may have
// several names.
func distinct(entries []ocispec.Descriptor) []ocispec.Descriptor {
	seen := map[content]bool{}
	return slices.DeleteFunc(slices.Clone(entries), func(e ocispec.Descriptor) bool {
		twin := seen[contentOf(e)]
		seen[contentOf(e)] = true
		return twin
	})
}

// positioned is an entry with its position in index.json.
type positioned struct {
	ocispec.Descriptor
	position int
}

// at says which entry it is, as a reference and by its content.
func (x *Index) at(p positioned) string {
	if x.opts.NoPositions {
		return p.Digest.String()
	}
	return fmt.Sprintf("@%d (%s)", p.position, p.Digest)
}

// ImageName is the annotation by which Docker and containerd give an entry the full
// name of its image, beside the tag in org.opencontainers.image.ref.name.
const ImageName = "io.containerd.image.name"

// RefName returns the annotation org.opencontainers.image.ref.name of an entry, or "".
func RefName(e ocispec.Descriptor) string { return e.Annotations[ocispec.AnnotationRefName] }

// withoutName returns what an entry points at: the name is the layout's.
func withoutName(e ocispec.Descriptor) ocispec.Descriptor {
	e.Annotations = maps.Clone(e.Annotations)
	delete(e.Annotations, ocispec.AnnotationRefName)
	delete(e.Annotations, ImageName)
	if len(e.Annotations) == 0 {
		e.Annotations = nil
	}
	return e
}

// describe lists entries of index.json for a message: by name, or those without one by
// position.
func (x *Index) describe(entries []ocispec.Descriptor) string {
	if len(entries) == 0 {
		return "none"
	}
	var names []string
	for i, e := range entries[:min(len(entries), maxListed)] {
		if name := x.opts.NameOf(e); name != "" {
			names = append(names, strictjson.Quote(name))
		} else {
			names = append(names, x.at(positioned{e, i}))
		}
	}
	if more := len(entries) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
