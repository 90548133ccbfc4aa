package contentstore

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/filters"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// ingest is what the store does not note of a partial blob: what it is to become, and
// when exactly it was written to.
type ingest struct {
	total    int64
	expected digest.Digest
	updated  time.Time
}

func (c *contentStore) note(ref string, in ingest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun[ref] = in
}

func (c *contentStore) forget(ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.begun, ref)
}

// statusOf returns the status of a partial blob.
func (c *contentStore) statusOf(p store.Partial) content.Status {
	status := content.Status{Ref: p.Ref, Offset: p.Offset, StartedAt: p.Started, UpdatedAt: p.Updated}
	c.mu.Lock()
	defer c.mu.Unlock()
	if in, known := c.begun[p.Ref]; known {
		status.Total, status.Expected = in.total, in.expected
		if in.updated.After(status.UpdatedAt) { // that of a file may be some milliseconds behind
			status.UpdatedAt = in.updated
		}
	}
	return status
}

// Status returns what was written under a ref. Total and Expected are known if it was
// begun through this adapter.
func (c *contentStore) Status(ctx context.Context, ref string) (content.Status, error) {
	partial, err := c.store.Partial(ctx)
	if err != nil {
		return content.Status{}, err
	}
	for _, p := range partial {
		if p.Ref == ref {
			return c.statusOf(p), nil
		}
	}
	c.forget(ref) // the store has given it up
	return content.Status{}, fmt.Errorf("ingest %q: %w", ref, errdefs.ErrNotFound)
}

// ListStatuses returns what was written under the refs that match a filter.
func (c *contentStore) ListStatuses(ctx context.Context, fs ...string) ([]content.Status, error) {
	filter, err := filters.ParseAll(fs...)
	if err != nil {
		return nil, fmt.Errorf("listing ingests: %w", err)
	}
	partial, err := c.store.Partial(ctx)
	if err != nil {
		return nil, err
	}
	var all []content.Status
	for _, p := range partial {
		if status := c.statusOf(p); filter.Match(adaptStatus(status)) {
			all = append(all, status)
		}
	}
	return all, nil
}

// adaptStatus gives filters what they may ask of a status: its ref.
func adaptStatus(status content.Status) filters.Adaptor {
	return filters.AdapterFunc(func(path []string) (string, bool) {
		if len(path) == 1 && path[0] == "ref" {
			return status.Ref, true
		}
		return "", false
	})
}

// Abort forgets what was written under a ref.
func (c *contentStore) Abort(ctx context.Context, ref string) error {
	if err := c.store.Abort(ctx, ref); err != nil {
		return err
	}
	c.forget(ref)
	return nil
}
