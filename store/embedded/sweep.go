package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// stepFiles is how many files a step looks at.
const stepFiles = 1000

// trash removes the files of blobs that no record knows any more. Those that it cannot
// remove are looked for by the next collection.
func (s *Store) trash(blobs []digest.Digest) error {
	err := s.files.Trash(blobs)
	s.trashed.Store(true)
	if err != nil {
		s.left.Store(true)
	}
	return err
}

// empty removes what is in the trash, if something was put there since it did so last.
func (s *Store) empty(ctx context.Context) error {
	if !s.trashed.Swap(false) {
		return nil
	}
	_, _, err := s.files.Empty(ctx)
	if err != nil {
		s.trashed.Store(true)
	}
	return err
}

// takeBack removes a file that was placed, and of which no record has come to know. Somebody
// else may have written the same meanwhile, or be about to.
func (s *Store) takeBack(d digest.Digest) error {
	if s.failing.Load() != nil {
		return nil // a record may know it after all, as the next Open sees; else it is swept
	}
	gone, err := s.sweepFile(context.Background(), d)
	if !gone {
		s.left.Store(true)
	}
	return err
}

// takeLeft has all files be looked at if trash has left some. Who calls it holds up
// collections.
func (s *Store) takeLeft() {
	if s.left.Swap(false) {
		s.sweep, s.swept = true, ""
	}
}

// sweepFiles looks for files that no record knows, which a crash may have left, and
// removes them: some in each step, until all were looked at.
func (s *Store) sweepFiles(ctx context.Context, c *store.Collected) error {
	if !s.sweep {
		return nil
	}
	enough := errors.New("enough")
	n := 0
	err := s.files.Walk(ctx, s.swept, func(d digest.Digest, size int64) error {
		gone, err := s.sweepFile(ctx, d)
		if err != nil {
			return err
		}
		s.swept = d
		if gone {
			c.Blobs++
			c.Bytes += size
			s.log.Info("removed a file that no record knows", "digest", d)
		}
		if n++; n == stepFiles {
			return enough
		}
		return nil
	})
	c.Examined += n
	if errors.Is(err, enough) {
		c.More = true
		return nil
	}
	if err == nil {
		err = s.empty(ctx)
	}
	if err != nil {
		return fmt.Errorf("looking for files that no record knows: %w", err)
	}
	return s.endSweep(ctx)
}

// sweepFile removes a file if no record knows it, and nobody is writing it.
func (s *Store) sweepFile(ctx context.Context, d digest.Digest) (gone bool, err error) {
	free := s.uses.collect(d)
	if free {
		defer s.uses.collected(d)
	}
	var blob catalog.Blob
	err = s.view(ctx, func(tx *catalog.Tx) (err error) {
		blob, err = tx.Blob(d)
		return err
	})
	if err == nil && blob.File() || err != nil && !errdefs.IsNotFound(err) {
		return false, err
	}
	if !free { // whoever writes it may give up
		s.left.Store(true)
		return false, nil
	}
	return true, s.trash([]digest.Digest{d})
}

// endSweep notes that all files were looked at.
func (s *Store) endSweep(ctx context.Context) error {
	err := s.update(ctx, func(tx *catalog.Tx) error {
		state, err := tx.State()
		if err == nil {
			state.Sweep = false
			tx.SetState(state)
		}
		return err
	})
	if err == nil {
		s.sweep, s.swept = false, ""
	}
	return err
}
