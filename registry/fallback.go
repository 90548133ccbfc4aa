package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/pause"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// maxRounds is how often a list of referrers is written that others keep writing.
const maxRounds = 8

// fallbackTag is the tag under which a registry without the referrers API has the
// list of a subject's referrers (OCI distribution specification, "Referrers Tag
// Schema").
func fallbackTag(subject digest.Digest) string {
	algorithm, encoded, _ := strings.Cut(string(subject), ":")
	return algorithm + "-" + encoded[:min(len(encoded), 64)]
}

// fallback returns the list under the tag, or nil if there is none.
func (r *Repository) fallback(ctx context.Context, e *endpoint, subject digest.Digest, once bool) (*image.List, error) {
	desc, data, err := r.get(ctx, e, fallbackTag(subject), "", once)
	switch {
	case errdefs.IsNotFound(err), errors.Is(err, wire.ErrNotRegistry):
		return nil, nil //nolint:nilnil // as documented: there is none
	case err != nil:
		return nil, err
	}
	// There are registries that find the subject itself by what looks like its digest.
	own, err := image.DigestOf(data, desc.MediaType, subject.Algorithm())
	if err != nil {
		return nil, err
	}
	if own == subject {
		return nil, nil //nolint:nilnil // likewise
	}
	if desc.MediaType != indexType {
		return nil, fmt.Errorf("the tag %s is for referrers, and is a %s: %w", fallbackTag(subject), quote(desc.MediaType), errOccupied)
	}
	return decodeIndex(data, r.client.opts.Limits)
}

// errOccupied is a tag for referrers that is something else.
var errOccupied = fmt.Errorf("it is in use for something else: %w", errdefs.ErrFailedPrecondition)

// AddReferrer has the registry know that the manifest desc refers to the subject,
// after it was Put. A registry with the referrers API sees that by itself, and
// nothing is done; whether it has one was told by its answer to Put, or is asked
// once. Elsewhere desc is added to the list under the tag that stands in for the API,
// and it is looked at until it is seen there: registries do not know how to write on
// condition, so that two who write at once may have to write again. Of two that
// write and look in turn at a bad moment one may still be lost.
//
// The media type, digest, size, artifact type and annotations of desc are listed. A
// tag that is not a list of referrers is errdefs.ErrFailedPrecondition and stays as
// it is.
func (r *Repository) AddReferrer(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor) error {
	_, err := image.ParseDigest(string(subject))
	if err == nil {
		err = r.opened(hosts.Push)
	}
	if err == nil {
		err = r.addReferrer(ctx, r.first(), subject, desc)
	}
	if err != nil {
		return failed("add "+string(desc.Digest)+" to the referrers of", r.object(string(subject)), err)
	}
	return nil
}

func (r *Repository) addReferrer(ctx context.Context, e *endpoint, subject digest.Digest, desc ocispec.Descriptor) error {
	if has, err := r.hasAPI(ctx, e, subject); has || err != nil {
		return err
	}
	entry := ocispec.Descriptor{
		MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size,
		ArtifactType: desc.ArtifactType, Annotations: desc.Annotations,
	}
	return r.relist(ctx, e, subject, func(list *image.List) (_ *image.List, err error) {
		if list == nil {
			if list, err = image.NewList(indexType); err != nil {
				return nil, err
			}
		}
		if _, err := list.Instance(entry.Digest); err == nil {
			return nil, nil //nolint:nilnil // as change has it
		}
		return list.Add(entry)
	})
}

// removeReferrer takes a manifest that was deleted out of the list of its subject's
// referrers, which stays even if it is empty: to delete its tag could lose what
// somebody adds at that moment.
func (r *Repository) removeReferrer(ctx context.Context, e *endpoint, subject, deleted digest.Digest) error {
	err := r.relist(ctx, e, subject, func(list *image.List) (*image.List, error) {
		if list == nil {
			return nil, nil //nolint:nilnil // as change has it
		}
		kept, err := list.Keep(func(entry ocispec.Descriptor) bool { return entry.Digest != deleted })
		if kept == list {
			return nil, nil //nolint:nilnil // likewise
		}
		return kept, err
	})
	if errors.Is(err, errOccupied) {
		return nil // there is no list
	}
	return err
}

// hasAPI reports whether the registry has the referrers API, and asks for the
// referrers of the subject if that is not known.
func (r *Repository) hasAPI(ctx context.Context, e *endpoint, subject digest.Digest) (bool, error) {
	if e.server.referrers.Load() == yes {
		return true, nil
	}
	has, err := r.api(ctx, e, &referrerList{subject: subject, seen: map[digest.Digest]bool{}}, false)
	if errdefs.IsResourceExhausted(err) {
		return true, nil // too many to be listed
	}
	return has, err
}

// change returns the list of a subject's referrers as it should be, or nil if it is.
// The list is nil if there is none.
type change func(list *image.List) (*image.List, error)

// relist changes the list under the tag of a subject, and looks at it until that is
// seen there.
func (r *Repository) relist(ctx context.Context, e *endpoint, subject digest.Digest, change change) error {
	// Not to overwrite ourselves.
	if err := e.session.listing.take(ctx); err != nil {
		return err
	}
	defer e.session.listing.give()
	for round := range maxRounds {
		list, err := r.fallback(ctx, e, subject, false)
		if err == nil {
			list, err = change(list)
		}
		if list == nil || err != nil {
			return err
		}
		if err := r.put(ctx, e, hosts.Push, list.Descriptor(), list.Bytes(), fallbackTag(subject)); err != nil {
			return err
		}
		if round > 0 {
			// Others were faster, or after us.
			if err := pause.For(ctx, rand.N(time.Duration(round)*100*time.Millisecond)); err != nil { //nolint:gosec // no secret
				return err
			}
		}
	}
	return fmt.Errorf("the tag %s was overwritten %d times by others: %w", fallbackTag(subject), maxRounds, errdefs.ErrUnavailable)
}
