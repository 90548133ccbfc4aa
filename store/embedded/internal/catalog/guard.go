package catalog

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/containerd/errdefs"
)

// errDamaged is what every error about a damaged database is.
var errDamaged = fmt.Errorf("the database is damaged: %w", errdefs.ErrDataLoss)

// IsDamaged reports whether an error says that the database is damaged.
func IsDamaged(err error) bool { return errors.Is(err, errDamaged) }

// recovered ends a function that reads the database: a page that is not what it should
// be has the library panic, or read where there is no memory. Its caller has set the
// latter to panic too, and before is what was set then.
func recovered(err *error, before bool) { //nolint:gocritic // it sets the result
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = panicked(p)
	}
}

// recovered is the same for what takes and gives up the library's locks, which a panic
// leaves as they are.
func (db *DB) recovered(err *error, before bool) { //nolint:gocritic // it sets the result
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = panicked(p)
		db.broken.Store(true)
	}
}

func panicked(p any) error { return fmt.Errorf("reading the database: %v: %w", p, errDamaged) }
