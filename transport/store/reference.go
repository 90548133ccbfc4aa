// Package store reads and writes images in a local store, by store: references. It is
// the transport; what a store is says package dhow/store, and any engine of it will do.
//
// What is written has a lease from its first byte on, is one batch, and becomes visible
// together with its names. An image need not be there as a whole: of a list any
// instances may be.
package store

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// Reference is an image in a local store: NAME[:TAG][@DIGEST], or an ID, which can only
// be read. The zero value has no name: what is written under it dangles.
type Reference struct {
	// Name is the image's. With a digest that says which image it is, and a tag is read
	// no more, but written; without either the tag is latest.
	Name ref.Reference
	// ID is a digest of which no name is known, or what may begin one: 4 to 64 hex
	// digits, with an algorithm before them or not. Name is then what else it may be, if
	// it may, and comes first.
	ID string
}

// The lengths of the beginning of an ID.
const (
	shortID = 4
	wholeID = 64
)

// Parse parses the details of a store: reference. Errors are errdefs.ErrInvalidArgument,
// and errdefs.ErrNotImplemented for an unknown digest algorithm.
func Parse(details string) (Reference, error) {
	if d, err := image.ParseDigest(details); err == nil {
		return Reference{ID: d.String()}, nil
	}
	var r Reference
	hex := strings.TrimPrefix(details, digest.SHA256.String()+":")
	if len(hex) >= shortID && len(hex) <= wholeID && strings.Trim(hex, "0123456789abcdef") == "" {
		r.ID = details
	}
	name, err := ref.Parse(details)
	switch {
	case err == nil:
		r.Name = name.Tagged()
	case len(hex) == wholeID && r.ID != "":
		r.ID = digest.NewDigestFromEncoded(digest.SHA256, hex).String()
	case r.ID == "":
		return Reference{}, fmt.Errorf("store: %w", err)
	}
	return r, nil
}

// String returns the details of the reference, which Parse reads.
func (r Reference) String() string {
	if r.Name == (ref.Reference{}) {
		return r.ID
	}
	return r.Name.String()
}

// isZero reports whether there is no name.
func (r Reference) isZero() bool { return r.Name == (ref.Reference{}) }

// record returns the name of the record that the reference, or a tag beside it, writes;
// empty for none.
func (r Reference) record(tag string) (string, error) {
	switch {
	case r.isZero() && tag == "":
		return "", nil
	case r.isZero():
		return "", fmt.Errorf("the tag %s of no repository: %w", strictjson.Quote(tag), errdefs.ErrInvalidArgument)
	case tag == "" && r.Name.Tag() == "":
		return r.Name.String(), nil
	case tag == "":
		tag = r.Name.Tag()
	}
	repository, err := ref.Parse(r.Name.Name())
	if err != nil {
		return "", err
	}
	named, err := repository.WithTag(tag)
	return named.String(), err
}
