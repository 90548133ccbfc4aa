// Package registry reads and writes images in registries, by docker: references.
// It is the transport; what speaks to registries is package dhow/registry.
package registry

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// Reference is an image in a registry: //NAME[:TAG][@DIGEST]. With both, the digest
// says which image it is; a tag is read no more, but written. With neither the tag
// is latest. The zero value is no valid reference.
type Reference struct {
	Name ref.Reference
}

// Parse parses the details of a docker: reference. Errors are
// errdefs.ErrInvalidArgument, and errdefs.ErrNotImplemented for an unknown digest
// algorithm.
func Parse(details string) (Reference, error) {
	name, ok := strings.CutPrefix(details, "//")
	if !ok {
		return Reference{}, fmt.Errorf("docker: reference %s does not start with //: %w", strictjson.Quote(details), errdefs.ErrInvalidArgument)
	}
	parsed, err := ref.Parse(name)
	if err != nil {
		return Reference{}, fmt.Errorf("docker: %w", err)
	}
	if parsed.Digest() == "" {
		parsed = parsed.Tagged()
	}
	return Reference{Name: parsed}, nil
}

// String returns the details of the reference, which Parse reads.
func (r Reference) String() string { return "//" + r.Name.String() }

// wanted is what the source asks for: the digest if there is one, else the tag.
func (r Reference) wanted() string {
	if d := r.Name.Digest(); d != "" {
		return d.String()
	}
	return r.Name.Tag()
}
