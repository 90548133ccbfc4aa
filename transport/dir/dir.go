// Package dir reads and writes an image in a plain directory, `dir:PATH`, in the
// format that skopeo and podman call by that name:
//
//	version                 "Directory Transport Version: 1.1\n"; 1.2 if any digest is not sha256
//	manifest.json           the image's manifest or list, the root
//	<hex>.manifest.json     every other manifest and list, by its digest
//	<hex>                   every config and layer, by its digest
//	signature-<N>           the root's simple signatures, N from 1
//	<hex>.signature-<N>     those of another manifest or list
//
// A digest that is not sha256 is written <algorithm>-<hex>. Where the root's own
// digest is such a one, the root is kept under <algorithm>-<hex>.manifest.json as
// well, so that the digest is not lost.
//
// A directory holds one image. Writing another one replaces it, but nothing of
// the old image goes before the new one is complete and on disk, and files that
// the format does not know are never touched. See Destination.
package dir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/image"
)

// Reference names a directory. The zero value names none.
type Reference struct {
	path string
}

// Parse returns the reference that follows `dir:`, which is the path of a
// directory, absolute or not. It need not exist. An empty path, and one with a
// NUL byte, is errdefs.ErrInvalidArgument.
func Parse(details string) (Reference, error) {
	if details == "" {
		return Reference{}, fmt.Errorf("dir: the path is empty: %w", errdefs.ErrInvalidArgument)
	}
	if strings.ContainsRune(details, 0) {
		return Reference{}, fmt.Errorf("dir: the path %.256q has a NUL byte: %w", details, errdefs.ErrInvalidArgument)
	}
	return Reference{path: details}, nil
}

// check refuses the zero Reference, and a context that has ended.
func (r Reference) check(ctx context.Context) error {
	_, err := Parse(r.path)
	return errors.Join(ctx.Err(), err)
}

// String returns what Parse was given.
func (r Reference) String() string { return r.path }

// Options are those of OpenSource and OpenDestination. The zero value is the
// default.
type Options struct {
	// Limits bound what is read into memory.
	Limits image.Limits
	// Logger is told of what was passed over or cleaned up; nil: nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.WithDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// at adds to an error what was being done in which directory.
func (r Reference) at(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("dir:%s: %s: %w", r.path, doing, err)
}
