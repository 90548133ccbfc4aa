// Package transporttest is the suite of tests that every transport passes. It
// holds a place to the contracts of package transport: what was put comes back
// byte for byte, what does not match its descriptor never shows, and names move
// last.
package transporttest

import (
	"context"
	"testing"

	"github.com/dhowhq/dhow/transport"
)

// Factory makes the places that are tested.
type Factory struct {
	// New makes a place that is empty, and removes it at the end of the test.
	New func(tb testing.TB) Place
	// Cannot says what such places cannot hold.
	Cannot Cannot
	// Many is how many blobs are put at once; 0 means 150. Where each costs some
	// milliseconds fewer will do.
	Many int
}

// Place is one place under test. Its functions may be called any number of times,
// and what they return is closed by the suite.
type Place struct {
	// Destination opens the place for writing, under one name or none.
	Destination func(ctx context.Context) (transport.Destination, error)
	// Source opens it for reading under the same name. Where nothing has that name
	// either this or the source's Root is errdefs.ErrNotFound.
	Source func(ctx context.Context) (transport.Source, error)
	// Missing opens it under a name that nothing has; nil if the place has no names.
	Missing func(ctx context.Context) (transport.Source, error)
	// Files is a directory that has all that the place keeps, and maybe more; empty
	// for a place that is not kept in files. It need not exist.
	Files string
}

// Cannot gives the reasons why places cannot hold something; each that is empty
// says that they can. A test of what they cannot hold is skipped with the reason.
type Cannot struct {
	Lists      string // lists of manifests
	Docker     string // documents of Docker's types
	Opaque     string // entries of lists that are not documents
	Artifacts  string // manifests whose config is no image config
	SHA384     string // digests of sha384
	SHA512     string // digests of sha512
	Signatures string // simple signatures
	Referrers  string // manifests that refer to others, kept without a name
	Names      string // names beside the one that the place was opened under
	Replace    string // one image in the place of another, under the place's name
}

// Run runs the suite. It must not be called by a parallel test: one of its tests
// counts goroutines.
func Run(t *testing.T, f Factory) {
	t.Run("goroutines", f.goroutines)
	for name, test := range map[string]func(*testing.T){
		"round trip":             f.roundTrip,
		"parts":                  f.parts,
		"put again":              f.putAgain,
		"put what is there":      f.putPresent,
		"bytes that do not fit":  f.badBytes,
		"opener fails":           f.openerFails,
		"concurrent":             f.concurrent,
		"hostile digests":        f.hostileDigests,
		"names move last":        f.namesMoveLast,
		"commit again":           f.commitAgain,
		"commit more":            f.commitMore,
		"name is replaced":       f.replaceName,
		"close without commit":   f.closeWithoutCommit,
		"cancelled":              f.cancelled,
		"cancel while reading":   f.cancelReading,
		"missing name":           f.missingName,
		"referrers":              f.referrers,
		"names":                  f.names,
		"signatures":             f.signatures,
		"refusals have a reason": f.refusals,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// skipIf skips a test of what the place cannot hold.
func skipIf(t *testing.T, reason string) {
	t.Helper()
	if reason != "" {
		t.Skip("the place cannot hold it: " + reason)
	}
}
