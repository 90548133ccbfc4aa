package embedded

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// recoveredFor is for how long blobs are held that have lost their records.
const recoveredFor = 30 * 24 * time.Hour

// repair makes a change.
func (c *checker) repair(change catalog.Change) error {
	return c.s.direct(func(tx *catalog.Tx) error { return tx.Do(change) })
}

// repairBlob sets the bytes of a blob aside. What is known of it is kept, as of one whose
// file is missing: the next Put writes it. Damaged bytes must not stay in the database,
// or they would come into the journal when that is written anew.
func (c *checker) repairBlob(d digest.Digest, b catalog.Blob) error {
	if !b.File() {
		return c.repair(catalog.PutBlob{Digest: d, Created: b.Created, Size: b.Size})
	}
	if err := c.s.files.SetAside(d); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return c.s.direct(func(tx *catalog.Tx) error { return tx.SetVerified(d, 0) })
}

// recoverFiles makes blobs known again whose files have lost their records, if they are
// what their names say.
func (c *checker) recoverFiles(ctx context.Context) error {
	r := replayer{db: c.want}
	defer r.end()
	n := 0
	err := c.s.files.Walk(ctx, "", func(d digest.Digest, size int64) error {
		if err := c.step(ctx); err != nil {
			return err
		}
		if err := r.begin(); err != nil {
			return err
		}
		if _, err := r.tx.Blob(d); !errdefs.IsNotFound(err) {
			return err
		}
		err := c.s.files.Verify(ctx, d, size)
		if unusable(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c.found(Stray, string(d), errUnknown)
		if n++; n%salvagedAtOnce == 0 {
			if err := r.commit(c.journalEnd); err != nil {
				return err
			}
			if err := r.begin(); err != nil {
				return err
			}
		}
		return c.recover(ctx, r.tx, d, size)
	})
	if err != nil {
		return err
	}
	return r.commit(c.journalEnd)
}

// errUnknown is what is wrong with the file of a blob that has no record.
var errUnknown = fmt.Errorf("no record knows its file: %w", errdefs.ErrNotFound)

// recover makes one blob known again.
func (c *checker) recover(ctx context.Context, tx *catalog.Tx, d digest.Digest, size int64) error {
	now := c.s.now()
	if c.recovered.ID == "" {
		number, err := tx.NextLease()
		if err != nil {
			return err
		}
		c.recovered = catalog.Lease{Number: number, Lease: store.Lease{
			ID: "recovered " + now.Format(time.RFC3339Nano), Created: now, Until: now.Add(recoveredFor),
		}}
		if err := tx.Apply(catalog.PutLease{Lease: c.recovered}); err != nil {
			return err
		}
	}
	part, err := tx.NextHold(c.recovered.Number)
	if err != nil {
		return err
	}
	hold := catalog.Hold{Number: c.recovered.Number, Part: part, Digests: []digest.Digest{d}}
	if err := tx.Apply(hold); err != nil {
		return err
	}
	return tx.Apply(catalog.PutBlob{Digest: d, Created: now, Size: size, Facts: c.guess(ctx, d, size)})
}

// guess returns the facts of a file that looks like a manifest or list, or nil.
func (c *checker) guess(ctx context.Context, d digest.Digest, size int64) *store.Facts {
	if c.s.checkLimit(d, document, size) != nil {
		return nil
	}
	data, err := c.s.readFile(ctx, d, size)
	if err != nil {
		return nil
	}
	mediaType := image.Guess(data)
	if mediaType == "" {
		return nil
	}
	f, err := c.s.deriveDocument(data, ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: size})
	if err != nil {
		return nil
	}
	return f
}

// leaked tells of blobs that no collection would find.
func (c *checker) leaked(ctx context.Context) error {
	for _, d := range c.leaks {
		if err := c.step(ctx); err != nil {
			return err
		}
		c.found(Leaked, string(d), fmt.Errorf("nobody needs it, and no collection would find it: %w", errdefs.ErrDataLoss))
		err := c.repaired(func() error {
			return c.s.direct(func(tx *catalog.Tx) error { return tx.Suspect(d) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// notedAtOnce is how many blobs are noted to be verified in a transaction.
const notedAtOnce = 1000

// finishRepair notes what was verified, and empties the trash.
func (c *checker) finishRepair(ctx context.Context) error {
	for some := range slices.Chunk(c.good, notedAtOnce) {
		err := c.s.direct(func(tx *catalog.Tx) error {
			for _, d := range some {
				if err := tx.SetVerified(d, c.s.epoch.Load()); err != nil {
					return err
				}
				c.s.distrusted.Delete(d)
			}
			return nil
		})
		if err == nil {
			err = c.step(ctx)
		}
		if err != nil {
			return err
		}
	}
	err := c.s.direct(func(tx *catalog.Tx) error {
		state, err := tx.State()
		state.Sweep = false
		tx.SetState(state)
		return err
	})
	if err != nil {
		return err
	}
	c.s.sweep, c.s.swept = false, ""
	_, _, err = c.s.files.Empty(ctx)
	return err
}
