package ocilayout

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
)

// content is what an entry points at, whatever it is called.
type content struct {
	mediaType string
	digest    digest.Digest
	size      int64
}

func contentOf(e ocispec.Descriptor) content { return content{e.MediaType, e.Digest, e.Size} }

// Named is a name and what it is, or shall be, for.
type Named struct {
	Name string // empty for none
	Desc ocispec.Descriptor
}

// CheckNames checks that no name is wanted for two things, which is
// errdefs.ErrInvalidArgument.
func CheckNames(wanted []Named) error {
	named := map[string]ocispec.Descriptor{}
	for _, n := range wanted {
		if n.Name == "" {
			continue
		}
		if other, ok := named[n.Name]; ok && (other.Digest != n.Desc.Digest || other.MediaType != n.Desc.MediaType) {
			return fmt.Errorf("the name %s is wanted for %s and for %s: %w", strictjson.Quote(n.Name), other.Digest, n.Desc.Digest, errdefs.ErrInvalidArgument)
		}
		named[n.Name] = n.Desc
	}
	return nil
}

// EntryOf returns the entry of index.json for a manifest or list, without a name.
func EntryOf(desc ocispec.Descriptor) ocispec.Descriptor {
	entry := ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size, ArtifactType: desc.ArtifactType}
	if p := desc.Platform; p != nil && p.OS != "" && p.Architecture != "" { // others are not valid there
		entry.Platform = p
	}
	return entry
}

// Set puts entries into the list. One with a name takes the place of the ones that had
// it, and of those without a name for the same content; one without adds nothing if its
// content has an entry. No two may have one name for two contents. nameOf returns the
// name of an entry, empty for none; nil is RefName.
func Set(ctx context.Context, list *image.List, set []ocispec.Descriptor, nameOf func(ocispec.Descriptor) string) (*image.List, error) {
	if nameOf == nil {
		nameOf = RefName
	}
	wanted := map[string]content{}
	named := map[content]bool{}
	for _, e := range set {
		if name := nameOf(e); name != "" {
			wanted[name] = contentOf(e)
			named[contentOf(e)] = true
		}
	}
	names, contents := map[string]bool{}, map[content]bool{} // that are in the list
	kept, err := list.Keep(func(e ocispec.Descriptor) bool {
		name, c := nameOf(e), contentOf(e)
		if name == "" && named[c] {
			return false
		}
		if want, ok := wanted[name]; ok && (c != want || names[name]) {
			return false
		}
		names[name], contents[c] = true, true
		return true
	})
	if err != nil {
		return nil, err
	}
	var added []ocispec.Descriptor
	for _, e := range set {
		name, c := nameOf(e), contentOf(e)
		if name != "" && names[name] || name == "" && (contents[c] || named[c]) {
			continue
		}
		names[name], contents[c] = true, true
		added = append(added, e)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return kept.Add(added...)
}

// JoinedNote returns a note if an edit of index.json made one image of several.
func JoinedNote(before, after *image.List) string {
	n := countJoined(after)
	if n < 2 || n <= countJoined(before) {
		return ""
	}
	return fmt.Sprintf("the layout has %d images without a name; read without a name it is one multi-platform image", n)
}

// countJoined returns of how many images index.json makes one, as far as it tells
// without a look at their documents.
func countJoined(index *image.List) int {
	return countFlat(slices.DeleteFunc(index.Instances(), func(e ocispec.Descriptor) bool {
		return IsAttached(e) || e.ArtifactType != "" && e.Platform == nil
	}))
}
