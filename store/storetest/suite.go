// Package storetest is the suite of tests that every engine of package store passes.
// It holds a store to its contract: bytes show only when they are complete, verified
// and published, names move all or none, every lookup finds what it should and no
// more, and nothing that is needed is ever collected.
package storetest

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// Factory makes the stores that are tested.
type Factory struct {
	// New makes a place with an empty store, and removes it at the end of the test.
	New func(tb testing.TB) Place
	// Cannot says what such stores cannot hold.
	Cannot Cannot
	// Operations is how many the races do; 0 means 1,000.
	Operations int
	// Seed is that of the races; 0 is another one each time, which is logged.
	Seed uint64
}

// Place is where one store is kept.
type Place struct {
	// Open opens the store. The suite closes it, and opens it again only then.
	Open func(ctx context.Context) (store.Store, error)
	// Crash returns the place as it would be found had the process that has the store
	// open been killed at this moment, in which no call is under way. The store that
	// is open is closed afterwards and not used otherwise, and its place not at all.
	Crash func(tb testing.TB) Place
	// Damage changes the bytes of a visible blob behind the store's back: change gets
	// those that are there and returns what shall be there instead, nil for nothing. A
	// blob that cannot be got at is errdefs.ErrNotImplemented.
	Damage func(d digest.Digest, change func([]byte) []byte) error
	// Ended makes a lease from a process that has ended when it returns. No store is
	// open in the place meanwhile.
	Ended func(tb testing.TB, l store.Lease)
}

// Cannot gives the reasons why stores cannot hold something; each that is empty says
// that they can. A test of what they cannot hold is skipped with the reason.
type Cannot struct {
	SHA512   string // digests other than sha256
	Together string // blobs and names that show together, or not at all
	Snapshot string // a View of one moment
	Verified string // damaged bytes that are found where they are read
	Unclean  string // a Put that believes nothing after a crash until it was verified
	Late     string // leases that hold blobs which come later
	Process  string // leases of processes that have ended: Place.Ended
	Steps    string // collections that examine only what has lost something
	Counts   string // how much a collection has freed
	Crash    string // killing what has the store open: Place.Crash
	Drop     string // taking out a part of an image: store.Dropper
	Damage   string // changing bytes behind the store's back: Place.Damage
}

// groups are the tests by their names. Each is run by itself, in a place of its own.
func (f Factory) groups() map[string]map[string]func(*testing.T) {
	return map[string]map[string]func(*testing.T){
		"blobs":   f.blobs(),
		"writers": f.writers(),
		"damage":  f.damage(),
		"facts":   f.facts(),
		"names":   f.names(),
		"lookups": f.lookups(),
		"leases":  f.leases(),
		"gc":      f.gc(),
		"drop":    f.drop(),
		"crash":   f.crash(),
		"races":   f.races(),
		"cancel":  f.cancel(),
	}
}

// Run runs the suite. It must not be called by a parallel test: the races have the
// machine for themselves.
func Run(t *testing.T, f Factory) {
	for name, tests := range f.groups() {
		t.Run(name, func(t *testing.T) {
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t)
				})
			}
		})
	}
}

// skipIf skips a test of what stores cannot hold.
func skipIf(t *testing.T, reason string) {
	t.Helper()
	if reason != "" {
		t.Skip("the store cannot hold it: " + reason)
	}
}
