package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/registry/wire"
)

// maxReferrers is how many referrers of one subject are returned.
const maxReferrers = 1000

const indexType = ocispec.MediaTypeImageIndex

// errNone is that an endpoint knows no referrers, so that the next one is asked.
var errNone = fmt.Errorf("no referrers: %w", errdefs.ErrNotFound)

// errNoAPI is an answer of a registry that does not have the referrers API.
var errNoAPI = errors.New("the registry has no referrers API")

// Referrers returns the descriptors of the manifests that name the subject as theirs,
// each once and in the registry's order; none is an empty slice. It asks the
// referrers API, page by page, or where the registry has none the tag that the
// distribution specification has in its place ("Referrers Tag Schema"); that there
// is none is asked once of a server. What the descriptors point at is not looked at:
// whether it has that subject is for the caller to see.
//
// An answer that is no image index, and under the tag the subject itself, are no
// referrers. Of more than 1000 the first are returned, with an error of kind
// errdefs.ErrResourceExhausted.
func (r *Repository) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	_, err := image.ParseDigest(string(subject))
	if err != nil {
		return nil, failed("list the referrers of", r.object(string(subject)), err)
	}
	var found []ocispec.Descriptor
	err = r.ask(ctx, pass, func(e *endpoint, once bool) (err error) {
		if found, err = r.referrers(ctx, e, subject, once); err == nil && len(found) == 0 {
			return errNone
		}
		return err
	})
	switch {
	case errors.Is(err, errNone):
		return []ocispec.Descriptor{}, nil
	case err != nil:
		return found, failed("list the referrers of", r.object(string(subject)), err)
	}
	return found, nil
}

// referrers asks one endpoint.
func (r *Repository) referrers(ctx context.Context, e *endpoint, subject digest.Digest, once bool) ([]ocispec.Descriptor, error) {
	l := &referrerList{subject: subject, seen: map[digest.Digest]bool{}}
	has, err := r.api(ctx, e, l, once)
	if has || err != nil {
		return l.found, err
	}
	list, err := r.fallback(ctx, e, subject, once)
	if errors.Is(err, errOccupied) {
		r.client.log.Warn("no referrers, because their tag has none", "repository", e.String(), "error", err)
		return nil, nil
	}
	if list == nil || err != nil {
		return nil, err
	}
	return l.found, l.add(list)
}

// api asks the referrers API and reports whether there is one.
func (r *Repository) api(ctx context.Context, e *endpoint, l *referrerList, once bool) (bool, error) {
	found, err := e.server.findReferrers(ctx)
	if err != nil {
		return false, err
	}
	defer found()
	if e.server.referrers.Load() == no {
		return false, nil
	}
	h := how{scopes: e.scopes(r.use), once: once}
	err = r.client.pages(ctx, e, e.repository("referrers", string(l.subject)), nil, h, func(resp *http.Response) error {
		if applied := resp.Header.Get(headerFilters); applied != "" {
			r.client.log.Warn("the registry says that it left referrers out, which nobody asked for",
				"registry", e.String(), "subject", l.subject, "filters", quote(applied))
		}
		data, err := read(resp, r.client.opts.Limits.DocumentBytes)
		if err != nil {
			return err
		}
		return l.page(resp.Header.Get("Content-Type"), data, r.client.opts.Limits)
	})
	switch {
	case err == nil:
		e.server.referrers.Store(yes)
		return true, nil
	case !lacksAPI(err):
		return true, err
	}
	// A repository that does not exist says nothing of the server.
	if answer, ok := errors.AsType[*wire.ResponseError](err); !ok || !answer.Has("NAME_UNKNOWN") {
		e.server.referrers.CompareAndSwap(unknown, no)
	}
	r.client.log.Debug("no answer of a referrers API, its tag is asked", "registry", e.String(), "error", err)
	return false, nil
}

// findReferrers lets one caller at a time go on while it is not known whether the server
// has the referrers API. Who goes on calls what it returns.
func (s *server) findReferrers(ctx context.Context) (found func(), err error) {
	if s.referrers.Load() == unknown {
		if err := s.finding.take(ctx); err != nil {
			return nil, err
		}
		if s.referrers.Load() == unknown {
			return s.finding.give, nil
		}
		s.finding.give()
	}
	return func() {}, nil
}

// lacksAPI reports whether an error is how registries without the API answer.
func lacksAPI(err error) bool {
	switch status(err) {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return errors.Is(err, errNoAPI) || errors.Is(err, wire.ErrNotRegistry)
}

// referrerList gathers the referrers of a subject.
type referrerList struct {
	subject digest.Digest
	found   []ocispec.Descriptor
	seen    map[digest.Digest]bool
}

// page adds those of one page of the API.
func (l *referrerList) page(contentType string, data []byte, limits image.Limits) error {
	if t := typeName(contentType); t != indexType && (t != "" && t != "application/json" || image.Guess(data) != indexType) {
		return fmt.Errorf("%w: an answer of %s", errNoAPI, quote(contentType))
	}
	list, err := decodeIndex(data, limits)
	if err != nil {
		return err
	}
	return l.add(list)
}

// add adds the entries of an index.
func (l *referrerList) add(list *image.List) error {
	for _, d := range list.Instances() {
		if d.Digest == l.subject || l.seen[d.Digest] {
			continue
		}
		if len(l.found) == maxReferrers {
			return fmt.Errorf("there are more than %d: %w", maxReferrers, errdefs.ErrResourceExhausted)
		}
		l.seen[d.Digest] = true
		l.found = append(l.found, d)
	}
	return nil
}

// decodeIndex decodes an image index that a registry sent. One that is malformed is
// errdefs.ErrUnavailable: nobody here wrote it.
func decodeIndex(data []byte, limits image.Limits) (*image.List, error) {
	doc, err := image.Decode(data, image.Declared{Served: indexType}, limits)
	if err == nil {
		if list, ok := doc.(*image.List); ok {
			return list, nil
		}
	}
	return nil, &plainError{text: fmt.Sprintf("not a list of referrers: %v", err), kind: errdefs.ErrUnavailable}
}
