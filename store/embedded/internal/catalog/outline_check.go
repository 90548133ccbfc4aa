package catalog

import (
	"bytes"
	"context"
)

// outlineCheck compares the outlines of a database with those that another one would have.
type outlineCheck struct {
	mine, want *Tx
	f          func(Difference) error
	ended      func() error // asked now and then
	err        error        // what has ended it
	count      int
}

// compareOutlines calls f with the outlines that are not what those of want would be, and
// with the targets that should have one: not each has one, and how far those that were stale
// are drawn is not in the journal. Those that say something of what was touched nobody believes.
func (t *Tx) compareOutlines(ctx context.Context, want *Tx, f func(Difference) error) error {
	c := outlineCheck{mine: t, want: want, f: f, ended: ctx.Err}
	t.each(bucketOutlines, nil, c.outline)
	t.each(bucketStale, nil, func(root, _ []byte) bool {
		if !want.any(bucketTargets, root) {
			c.differs(bucketStale, root, "superfluous")
		}
		return c.goOn()
	})
	t.each(bucketTouched, nil, func(key, place []byte) bool {
		if _, err := unseal(bucketTouched, key, place); err != nil {
			c.differs(bucketTouched, key, "different")
		}
		return c.goOn()
	})
	var last []byte
	want.each(bucketTargets, nil, func(key, _ []byte) bool {
		root, _ := cutKey(key)
		if bytes.Equal(root, last) {
			return true
		}
		last = bytes.Clone(root)
		return c.target(root)
	})
	return c.err
}

// outline compares one outline that there is.
func (c *outlineCheck) outline(root, sealed []byte) bool {
	want, _, err := c.want.outline(root)
	mine, damaged := unseal(bucketOutlines, root, sealed)
	switch {
	case err != nil:
		c.fail(err)
	case damaged == nil && c.mine.hasTouched(mine):
	case want == nil:
		c.differs(bucketOutlines, root, "superfluous")
	case damaged != nil || !bytes.Equal(want, mine):
		c.differs(bucketOutlines, root, "different")
	}
	return c.goOn()
}

// target looks whether a target has the outline that it should have.
func (c *outlineCheck) target(root []byte) bool {
	if c.mine.has(bucketOutlines, root) || c.mine.has(bucketStale, root) {
		return c.goOn()
	}
	want, _, err := c.want.outline(root)
	switch {
	case err != nil:
		c.fail(err)
	case want != nil && !c.mine.hasTouched(want):
		c.differs(bucketOutlines, root, "missing")
	}
	return c.goOn()
}

func (c *outlineCheck) differs(b bucket, key []byte, what string) {
	if c.err == nil {
		c.err = c.f(Difference{Bucket: b.String(), Record: describe(b, key), What: what})
	}
}

func (c *outlineCheck) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// goOn reports whether to go on.
func (c *outlineCheck) goOn() bool {
	if c.count++; c.count%64 == 0 {
		c.fail(c.ended())
	}
	return c.err == nil
}
