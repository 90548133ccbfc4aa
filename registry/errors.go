package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/wire"
)

// Why a registry does not take a manifest, where its answer tells.
var (
	// ErrTypeRefused is a manifest of a media type, or in a form, that the registry
	// does not take. Another type may do. It is of the kind errdefs.ErrNotImplemented.
	ErrTypeRefused = fmt.Errorf("the registry refuses manifests of this type: %w", errdefs.ErrNotImplemented)

	// ErrBlobUnknown is a manifest of which a blob or another manifest that it names
	// is not in the repository. It is of the kind errdefs.ErrFailedPrecondition.
	ErrBlobUnknown = fmt.Errorf("the registry lacks content that the manifest names: %w", errdefs.ErrFailedPrecondition)
)

// kindedError gives an error a kind and leaves its text.
type kindedError struct{ err, kind error }

func (e *kindedError) Error() string   { return e.err.Error() }
func (e *kindedError) Unwrap() []error { return []error{e.kind, e.err} }

// plainError is an error of a kind that wraps nothing: what it comes of is of a kind
// that would say something else here.
type plainError struct {
	text string
	kind error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.kind }

// classify gives an error of a request the kind that package errdefs has for it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, errdefs.ErrUnauthenticated):
		return &kindedError{err, errdefs.ErrPermissionDenied}
	case errors.Is(errdefs.Resolve(err), errdefs.ErrUnknown) && !isResponse(err):
		// What broke on the way has no kind of its own: a name that does not resolve, or
		// an answer of a token server that cannot be read.
		return &kindedError{err, errdefs.ErrUnavailable}
	}
	return err
}

func isResponse(err error) bool {
	_, ok := errors.AsType[*wire.ResponseError](err)
	return ok
}

// status returns the status of the answer that an error comes of, or 0.
func status(err error) int {
	if r, ok := errors.AsType[*wire.ResponseError](err); ok {
		return r.Status
	}
	return 0
}

// refusedManifest returns the error for the answer to a PUT of a manifest.
func refusedManifest(err error) error {
	answer, ok := errors.AsType[*wire.ResponseError](err)
	if !ok {
		return err
	}
	switch {
	case answer.Has("MANIFEST_BLOB_UNKNOWN"), answer.Has("BLOB_UNKNOWN"), answer.Has("MANIFEST_UNKNOWN"):
		// A manifest that is being written can only lack what it names.
		return &kindedError{fmt.Errorf("%w: %w", ErrBlobUnknown, err), errdefs.ErrFailedPrecondition}
	case answer.Status == http.StatusUnsupportedMediaType, answer.Has("MANIFEST_INVALID"), answer.Has("TAG_INVALID"),
		slices.ContainsFunc(answer.Codes, invalidJSON):
		return &kindedError{fmt.Errorf("%w: %w", ErrTypeRefused, err), errdefs.ErrNotImplemented}
	}
	return err
}

// invalidJSON reports whether an error is how Amazon's registry refuses a type.
func invalidJSON(c wire.Code) bool {
	return c.Code == "UNSUPPORTED" && strings.Contains(c.Message, "Invalid JSON syntax")
}

// unsupported gives the answer to a DELETE the kind errdefs.ErrNotImplemented where
// it says that the registry does not do that.
func unsupported(err error) error {
	answer, ok := errors.AsType[*wire.ResponseError](err)
	if ok && answer.Status != http.StatusNotFound && answer.Has("UNSUPPORTED") {
		return &kindedError{err, errdefs.ErrNotImplemented}
	}
	return err
}

// failed returns an error that says what was being done to what.
func failed(verb, object string, err error) error {
	return fmt.Errorf("%s %s: %w", verb, object, classify(err))
}

// ended reports whether the caller does not want to go on.
func ended(ctx context.Context) bool { return ctx.Err() != nil }

// parseReference checks a tag or a digest. The digest is empty for a tag.
func parseReference(reference string) (digest.Digest, error) {
	if strings.Contains(reference, ":") {
		return image.ParseDigest(reference)
	}
	return "", ref.ValidTag(reference)
}

// quote returns text from elsewhere for a message.
func quote(text string) string { return strictjson.Quote(text) }
