package embedded

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// View is that of store.Names.
func (s *Store) View(ctx context.Context, f func(store.NameReader) error) error {
	return s.view(ctx, func(tx *catalog.Tx) error { return f(&nameReader{tx, s}) })
}

// nameReader is a store.NameReader, for the most part that of the database.
type nameReader struct {
	*catalog.Tx
	s *Store
}

var _ store.NameReader = (*nameReader)(nil)

// Blob is that of store.NameReader.
func (r *nameReader) Blob(d digest.Digest) (store.Blob, error) {
	return r.s.stat(r.Tx, d)
}

// Move is that of store.Names. One name twice is ErrInvalidArgument, as is a target that
// is no manifest or list; one that is not visible is ErrNotFound. To remove a name that
// there is not is no error.
func (s *Store) Move(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	checked, err := s.checkMoves(moves)
	if err != nil || len(moves) == 0 {
		return nil, err
	}
	err = s.view(ctx, func(tx *catalog.Tx) error { return s.tryMoves(tx, checked, nil) })
	if err != nil {
		return nil, err
	}
	var moved []store.Moved
	err = onceMore(func() (err error) {
		moved, err = s.move(ctx, checked)
		return err
	})
	return moved, err
}

// move makes moves that were checked.
func (s *Store) move(ctx context.Context, moves []move) ([]store.Moved, error) {
	understood, err := s.understand(ctx, nil, moves)
	if err != nil {
		return nil, err
	}
	var moved []store.Moved
	// When ctx ends it may still run, and must not set the error that is returned.
	err = s.update(ctx, func(tx *catalog.Tx) (err error) {
		if err := s.tryMoves(tx, moves, nil); err != nil {
			return err
		}
		if err := understood.check(tx); err != nil {
			return err
		}
		if err := understood.note(tx); err != nil {
			return err
		}
		moved, err = s.makeMoves(tx, moves, s.now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("moving %d names: %w", len(moves), err)
	}
	return moved, nil
}
