package embedded

import (
	"bytes"
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
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
			return c.repairLeaks()
		}
	}
}

// blob checks one blob. Its error is one of the checking.
func (c *checker) blob(ctx context.Context, d digest.Digest, b catalog.Blob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.report.Blobs++
	c.progress()
	data, err := c.content(ctx, d, b)
	switch {
	case errdefs.IsDataLoss(err) || errdefs.IsNotFound(err):
		c.bad[d] = err
		c.found(BadBlob, string(d), err)
		return c.repairBlob(d, b)
	case err != nil:
		return err
	}
	if b.File() && !c.opts.Quick {
		c.good = append(c.good, d)
	}
	return c.facts(ctx, d, b, data)
}

// content checks the bytes of a blob, and returns them if they are in the database.
func (c *checker) content(ctx context.Context, d digest.Digest, b catalog.Blob) ([]byte, error) {
	if b.File() {
		if c.opts.Quick {
			return nil, c.s.checkFile(d, b.Size)
		}
		c.report.Bytes += b.Size
		return nil, c.s.files.Verify(ctx, d, b.Size)
	}
	c.report.Bytes += b.Size
	data, err := inline(c.truth, d, b)
	if errdefs.IsDataLoss(err) && c.truth != c.want {
		var other catalog.Blob
		if c.want.View(func(tx *catalog.Tx) (err error) { other, err = tx.Blob(d); return err }) != nil || other.File() {
			return nil, err
		}
		good, otherErr := inline(c.want, d, other)
		if otherErr != nil {
			return nil, err
		}
		c.found(BadRecord, string(d), err)
		return good, c.repairInline(d, b, good)
	}
	return data, err
}

// inline returns the bytes of a blob that a database has.
func inline(db *catalog.DB, d digest.Digest, b catalog.Blob) (data []byte, err error) {
	err = db.View(func(tx *catalog.Tx) (err error) {
		data, err = tx.Bytes(b)
		return err
	})
	if err == nil && (int64(len(data)) != b.Size || d.Algorithm().FromBytes(data) != d) {
		err = fmt.Errorf("its bytes in the database are damaged: %w", errdefs.ErrDataLoss)
	}
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
	if err == nil && bytes.Equal(codec.AppendFacts(nil, *right), stored) {
		return nil
	}
	if err != nil {
		// It was accepted once, with other limits maybe: what was noted then is kept.
		c.s.log.Warn("a document cannot be read any more", "digest", d, "error", err)
		return nil
	}
	c.found(BadFacts, string(d), fmt.Errorf("its facts are not what its bytes say: %w", errdefs.ErrDataLoss))
	return c.repairFacts(d, *right)
}

// names checks that all records have their targets.
func (c *checker) names(ctx context.Context) error {
	for after := ""; ; {
		var records []store.Record
		lost := map[string]error{}
		err := c.truth.View(func(tx *catalog.Tx) (err error) {
			records, err = tx.List(after, walked)
			for _, r := range records {
				if err := c.target(tx, r); err != nil {
					lost[r.Key()] = err
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range records {
			after = r.Key()
			c.report.Names++
			if err := lost[after]; err != nil {
				c.found(BadName, after, err)
				if err := c.repairName(after); err != nil {
					return err
				}
			}
		}
		if len(records) < walked {
			return ctx.Err()
		}
	}
}

// target says what is wrong with what a record points at.
func (c *checker) target(tx *catalog.Tx, r store.Record) error {
	d := r.Target.Digest
	if err := c.bad[d]; err != nil {
		return fmt.Errorf("its target %s is damaged: %w", d, err)
	}
	if _, err := tx.Blob(d); err != nil {
		return fmt.Errorf("its target is not there: %w", err)
	}
	return nil
}

// strays looks for what no record knows.
func (c *checker) strays(ctx context.Context) error {
	err := c.s.files.Walk(ctx, "", func(d digest.Digest, size int64) error {
		if c.bad[d] != nil {
			return nil
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
			return nil // a batch is about to publish it
		}
		defer c.s.uses.collected(d)
		c.found(Stray, string(d), fmt.Errorf("no record knows its file: %w", errdefs.ErrNotFound))
		if err == nil || !c.lost {
			return c.removeStray(d)
		}
		return c.recover(ctx, d, size)
	})
	if err != nil {
		return err
	}
	var others []blobfile.Stray
	err = c.s.files.Strays(ctx, func(s blobfile.Stray) error { others = append(others, s); return nil })
	if err != nil {
		return err
	}
	for _, o := range others {
		err := c.repairOther(o)
		if err != nil {
			return err
		}
	}
	return nil
}
