package embedded

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// blobs checks the bytes of all blobs, and what is noted of them.
func (c *checker) blobs(ctx context.Context) error {
	var after digest.Digest
	for {
		var digests []digest.Digest
		var found []catalog.Blob
		err := c.truth.View(func(tx *catalog.Tx) (err error) {
			digests, found, err = tx.Walk(after, walked)
			return err
		})
		if err != nil {
			return err
		}
		for i, d := range digests {
			after = d
			if err := c.blob(ctx, d, found[i]); err != nil {
				return err
			}
		}
		if len(digests) < walked {
			return nil
		}
	}
}

// blob checks one blob. Its error is one of the checking.
func (c *checker) blob(ctx context.Context, d digest.Digest, b catalog.Blob) error {
	if err := c.step(ctx); err != nil {
		return err
	}
	c.report.Blobs++
	data, err := c.content(ctx, d, b)
	if unusable(err) {
		c.bad[d] = true
		c.found(BadBlob, string(d), err)
		if b.File() {
			c.s.distrust(d) // or who writes it would believe that it is there
		}
		return c.repaired(func() error { return c.repairBlob(d, b) })
	}
	if err != nil {
		return err
	}
	if b.File() && !c.opts.Quick {
		c.good = append(c.good, d)
	}
	return c.facts(ctx, d, b, data)
}

// unusable reports whether an error says that a blob is damaged or missing, or that
// something else is in its place or in the place of a directory above.
func unusable(err error) bool {
	return errdefs.IsDataLoss(err) && !catalog.IsDamaged(err) || errdefs.IsNotFound(err) ||
		errdefs.IsFailedPrecondition(err) || errdefs.IsPermissionDenied(err)
}

// content checks the bytes of a blob, and returns them if they are in the database. Those
// that are damaged there may be in what is left of a damaged journal.
func (c *checker) content(ctx context.Context, d digest.Digest, b catalog.Blob) ([]byte, error) {
	if b.File() && c.opts.Quick {
		return nil, c.s.checkFile(d, b.Size)
	}
	c.report.Bytes += b.Size
	if b.File() {
		return nil, c.s.files.Verify(ctx, d, b.Size)
	}
	data, err := inline(c.truth, d)
	if !errdefs.IsDataLoss(err) || catalog.IsDamaged(err) || !slices.Contains(c.made, c.logged) {
		return data, err
	}
	data, loggedErr := inline(c.logged, d)
	if loggedErr != nil {
		return nil, err
	}
	c.found(BadRecord, string(d), err)
	return data, c.repaired(func() error {
		return c.repair(catalog.PutBlob{Digest: d, Created: b.Created, Number: b.Number, Size: b.Size, Bytes: data})
	})
}

// inline returns the bytes of a blob that a database has.
func inline(db *catalog.DB, d digest.Digest) (data []byte, err error) {
	err = db.View(func(tx *catalog.Tx) error {
		b, err := tx.Blob(d)
		if err == nil {
			data, err = tx.Bytes(b)
		}
		if err == nil && (b.File() || int64(len(data)) != b.Size || d.Algorithm().FromBytes(data) != d) {
			err = fmt.Errorf("its bytes in the database are damaged: %w", errdefs.ErrDataLoss)
		}
		return err
	})
	return data, err
}

// facts checks what is noted of a blob.
func (c *checker) facts(ctx context.Context, d digest.Digest, b catalog.Blob, data []byte) error {
	var stored []byte
	err := c.truth.View(func(tx *catalog.Tx) (err error) {
		stored, err = tx.Stored(d)
		return err
	})
	if err != nil || stored == nil || b.File() && c.opts.Quick {
		return err
	}
	dec := codec.NewDecoder(stored)
	noted := dec.Facts()
	if err := dec.Done(); err != nil {
		return err
	}
	if b.File() {
		if data, err = c.s.readFile(ctx, d, b.Size); err != nil {
			return err
		}
	}
	k := config
	if image.IsDocument(noted.MediaType) {
		k = document
	}
	right, err := c.s.derive(data, k, ocispec.Descriptor{MediaType: noted.MediaType, Digest: d, Size: b.Size})
	if err != nil {
		// It was accepted once, with other limits maybe: what was noted then is kept.
		c.s.log.Warn("a document cannot be read any more", "digest", d, "error", err)
		return nil
	}
	if bytes.Equal(codec.AppendFacts(nil, *right), stored) {
		return nil
	}
	c.found(BadFacts, string(d), fmt.Errorf("its facts are not what its bytes say: %w", errdefs.ErrDataLoss))
	return c.repaired(func() error {
		return c.s.direct(func(tx *catalog.Tx) error { return tx.ReplaceFacts(d, *right) })
	})
}

// names checks that there is a record of the target of each name.
func (c *checker) names(ctx context.Context) error {
	for after, more := "", true; more; {
		var lost []store.Record
		err := c.truth.View(func(tx *catalog.Tx) error {
			records, err := tx.List(after, walked)
			for _, r := range records {
				after = r.Key()
				if _, err := tx.Blob(r.Target.Digest); err != nil {
					lost = append(lost, r)
				}
			}
			c.report.Names += len(records)
			more = len(records) == walked
			return err
		})
		if err == nil {
			err = c.lostTargets(lost)
		}
		if err == nil {
			err = c.step(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lostTargets notes what names point at as blobs whose files are missing.
func (c *checker) lostTargets(lost []store.Record) error {
	for _, r := range lost {
		c.found(BadName, r.Key(), fmt.Errorf("there is no record of its target %s: %w", r.Target.Digest, errdefs.ErrNotFound))
		err := c.repaired(func() error {
			return c.repair(catalog.PutBlob{Digest: r.Target.Digest, Created: r.Updated, Size: r.Target.Size})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unknown looks for what is in the places of blobs that no record knows.
func (c *checker) unknown(ctx context.Context) error {
	if err := c.plantedBlobs(); err != nil {
		return err
	}
	return c.s.files.Walk(ctx, "", func(d digest.Digest, _ int64) error {
		if err := c.step(ctx); err != nil {
			return err
		}
		var b catalog.Blob
		err := c.truth.View(func(tx *catalog.Tx) (err error) {
			b, err = tx.Blob(d)
			return err
		})
		if err == nil && b.File() || err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		if !c.s.uses.collect(d) {
			c.s.left.Store(true)
			return nil // a batch is about to publish it, or gives up
		}
		defer c.s.uses.collected(d)
		if c.s.sweep && !c.lost() && !c.opts.Repair {
			return nil // a crash has left it, and the next collection looks for such
		}
		c.found(Stray, string(d), errUnknown)
		return c.repaired(func() error {
			if c.lost() { // and damaged, or it would be known again
				return c.s.files.SetAside(d)
			}
			return c.s.files.Trash([]digest.Digest{d})
		})
	})
}

// lost reports whether records may be lost, since both database and journal were damaged.
func (c *checker) lost() bool { return c.dbErr != nil && c.journalBad }
