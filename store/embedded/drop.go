package embedded

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

var _ store.Dropper = (*Store)(nil)

// dropping is one Drop.
type dropping struct {
	s      *Store
	target digest.Digest
	parts  []digest.Digest // that nobody can begin to use until its end
	files  []digest.Digest
}

// Drop is that of store.Dropper.
func (s *Store) Drop(ctx context.Context, target digest.Digest, parts ...digest.Digest) error {
	if err := s.refused(); err != nil {
		return err
	}
	for _, d := range append([]digest.Digest{target}, parts...) {
		if _, err := image.ParseDigest(string(d)); err != nil {
			return fmt.Errorf("dropping a part of an image: %w", err)
		}
	}
	parts = slices.Compact(slices.Sorted(slices.Values(parts)))
	if len(parts) == 0 {
		return ctx.Err()
	}
	if err := s.drop(ctx, target, parts); err != nil {
		return fmt.Errorf("dropping parts of %s: %w", target, err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, target digest.Digest, parts []digest.Digest) error {
	d := &dropping{s: s, target: target}
	for _, part := range parts {
		if err := s.uses.take(ctx, part); err != nil {
			d.letGo()
			return err
		}
		d.parts = append(d.parts, part)
	}
	done := make(chan error, 1)
	s.background.Add(1)
	err := s.submit(ctx, d.run, func(err error) {
		go func() { // whoever commits does not wait for the files
			defer s.background.Done()
			if err == nil {
				err = s.trash(d.files) // as long as nobody can write them anew
			}
			d.letGo()
			done <- err
		}()
	})
	if err != nil {
		return err // what goes on is waited for by Close
	}
	if err := <-done; err != nil {
		return err
	}
	if len(d.files) > 0 {
		_, _, err = s.files.Empty(ctx)
	}
	return err
}

func (d *dropping) letGo() {
	for _, part := range d.parts {
		d.s.uses.collected(part)
	}
}

// run is the transaction. It may be called again.
func (d *dropping) run(tx *catalog.Tx) error {
	d.files = nil
	leases, err := tx.Leases()
	if err != nil {
		return err
	}
	live := map[uint64]string{}
	for _, l := range leases {
		if !d.s.over(l) {
			live[l.Number] = l.ID
		}
	}
	for _, part := range d.parts {
		found, err := tx.Droppable(d.target, part, live)
		if err != nil {
			return err
		}
		if found.File {
			d.files = append(d.files, part)
		}
	}
	for _, part := range d.parts {
		if err := tx.Do(catalog.DropBlob{Digest: part}); err != nil {
			return err
		}
	}
	return nil
}

// take is collect for who cannot do without: it waits for the end of a collection that
// looks at the blob. A blob that somebody uses is ErrFailedPrecondition.
func (u *uses) take(ctx context.Context, d digest.Digest) error {
	for {
		u.mu.Lock()
		b := u.of[d]
		if b == nil {
			u.mu.Unlock()
			if u.collect(d) {
				return nil
			}
			continue
		}
		u.mu.Unlock()
		if b.going == nil {
			return fmt.Errorf("%s is being read or written: %w", d, errdefs.ErrFailedPrecondition)
		}
		select {
		case <-b.going:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
