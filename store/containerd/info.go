package containerd

import (
	"context"
	"fmt"

	"github.com/dhowhq/dhow/store"
)

var _ store.Informer = (*Store)(nil)

// Info is that of store.Informer, of what is in the namespace. What the daemon's services
// do not tell is left out.
func (s *Store) Info(ctx context.Context) (store.Info, error) {
	info := store.Info{Engine: Scheme, Location: s.address.String(), Names: new(0), Dangling: new(0), Blobs: &store.Amount{}, Partial: &store.Amount{}}
	info.Leave("containerd has its own", "format")
	info.Leave("containerd does not tell whether what it keeps is damaged", "state")
	info.Leave("containerd does not tell where it keeps contents", "files", "inline", "free")
	err := s.View(ctx, func(r store.NameReader) error {
		records, err := r.List("", 0)
		for _, rec := range records {
			if rec.Dangling() {
				*info.Dangling++
			} else {
				*info.Names++
			}
		}
		return err
	})
	if err != nil {
		return store.Info{}, fmt.Errorf("counting names: %w", err)
	}
	if err := s.Walk(ctx, "", func(b store.Blob) error { info.Blobs.Add(b.Size); return nil }); err != nil {
		return store.Info{}, fmt.Errorf("counting blobs: %w", err)
	}
	partial, err := s.Partial(ctx)
	if err != nil {
		return store.Info{}, err
	}
	for _, p := range partial {
		info.Partial.Add(p.Offset)
	}
	leases, err := s.Leases(ctx)
	if err != nil {
		return store.Info{}, err
	}
	info.Leases = new(len(leases))
	return info, nil
}
