package oci

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/transport"
)

// content is what an entry points at, whatever it is called.
type content struct {
	mediaType string
	digest    digest.Digest
	size      int64
}

func contentOf(e ocispec.Descriptor) content { return content{e.MediaType, e.Digest, e.Size} }

func sameContent(a, b ocispec.Descriptor) bool { return contentOf(a) == contentOf(b) }

// nameOf returns the name that is meant, or none.
func (d *Destination) nameOf(n transport.Naming) string {
	if n.Name == "" && n.Subject == "" {
		return d.ref.Name
	}
	return n.Name
}

// checkNames checks that no name is for two things.
func (d *Destination) checkNames(names []transport.Naming) error {
	named := map[string]ocispec.Descriptor{}
	for _, n := range names {
		name := d.nameOf(n)
		if name == "" {
			continue
		}
		if other, ok := named[name]; ok && (other.Digest != n.Desc.Digest || other.MediaType != n.Desc.MediaType) {
			return fmt.Errorf("the name %s is wanted for %s and for %s: %w", strictjson.Quote(name), other.Digest, n.Desc.Digest, errdefs.ErrInvalidArgument)
		}
		named[name] = n.Desc
	}
	return nil
}

// setEntries puts entries into the list. One with a name takes the place of the
// ones that had it, and of those without a name for the same content; one without
// adds nothing if its content has an entry. No two may have one name for two
// contents.
func setEntries(ctx context.Context, list *image.List, set []ocispec.Descriptor) (*image.List, error) {
	wanted := map[string]content{}
	named := map[content]bool{}
	for _, e := range set {
		if name := refName(e); name != "" {
			wanted[name] = contentOf(e)
			named[contentOf(e)] = true
		}
	}
	names, contents := map[string]bool{}, map[content]bool{} // that are in the list
	kept, err := list.Keep(func(e ocispec.Descriptor) bool {
		name, c := refName(e), contentOf(e)
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
		name, c := refName(e), contentOf(e)
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

// joinedNote returns a note if an edit of index.json made one image of several.
func joinedNote(before, after *image.List) string {
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
		return isAttached(e) || e.ArtifactType != "" && e.Platform == nil
	}))
}
