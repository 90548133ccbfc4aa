package containerd

import (
	"context"
	"sync"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// readers is how many documents are read at once when the index is built.
const readers = 16

// rebuild looks at all names.
func (s *Store) rebuild(ctx context.Context) error {
	release, err := s.moving.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	records, err := s.listImages(ctx)
	if err != nil {
		return err
	}
	if s.fresh.ever() { // something is known, and may have gone unseen
		there := set{}
		err := s.list(ctx, func(info *contentapi.Info) error {
			there[digest.Digest(info.GetDigest())] = struct{}{}
			return nil
		})
		if err != nil {
			return err
		}
		s.docs.keep(there)
	}
	if err := s.learnAll(ctx, records); err != nil {
		return err
	}
	entries := make([]*entry, 0, len(records))
	for _, r := range records {
		entries = append(entries, s.newEntry(r))
	}
	s.index.replace(entries)
	return nil
}

// learnAll learns the graphs of records, some at once.
func (s *Store) learnAll(ctx context.Context, records []store.Record) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan store.Record)
	var wg sync.WaitGroup
	for range min(readers, len(records)) {
		wg.Go(func() {
			for r := range work {
				if err := s.learnGraph(ctx, rootEdge(r)); err != nil {
					cancel(err)
				}
			}
		})
	}
	seen := set{}
	for _, r := range records {
		if _, again := seen[r.Target.Digest]; again {
			continue
		}
		seen[r.Target.Digest] = struct{}{}
		select {
		case work <- r:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}
