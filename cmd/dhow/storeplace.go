package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	localstore "github.com/dhowhq/dhow/transport/store"
)

// sharedStore is the local store of a command that may need it twice, as the source and
// as the destination: it can be open only once.
type sharedStore struct {
	mu    sync.Mutex
	store store.Store
	users int
}

// openedStore is a use of it, which ends with Close.
type openedStore struct {
	store.Store
	of   *sharedStore
	once sync.Once
	err  error
}

// shareStore opens the local store, or uses the one that is open.
func (a *app) shareStore(ctx context.Context, use storeUse) (*openedStore, error) {
	s := &a.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		opened, err := a.openStore(ctx, use)
		if err != nil {
			return nil, err
		}
		s.store = opened
	} else if d, ok := s.store.(interface{ Degraded() error }); ok && use != storeLook && d.Degraded() != nil {
		return nil, d.Degraded()
	}
	s.users++
	return &openedStore{Store: s.store, of: s}, nil
}

// Close closes the store when nobody uses it any more.
func (o *openedStore) Close() error {
	o.once.Do(func() {
		o.of.mu.Lock()
		defer o.of.mu.Unlock()
		if o.of.users--; o.of.users == 0 {
			o.err = o.of.store.Close()
		}
	})
	return o.err
}

// storePlace is what the places in the local store are opened with.
type storePlace struct {
	localstore.Options
	open func(ctx context.Context, use storeUse) (*openedStore, error)
}

func storeOptions(_ context.Context, s settings) (storePlace, error) {
	if s.sharedBlobs != "" {
		return storePlace{}, fmt.Errorf("a shared blob directory goes with oci: only: %w", errdefs.ErrInvalidArgument)
	}
	return storePlace{localstore.Options{Limits: s.limits, Logger: s.log}, s.local}, s.registry.only()
}

// storeSource is a source that closes the store too.
type storeSource struct {
	*localstore.Source
	store *openedStore
}

func (s *storeSource) Close() error { return errors.Join(s.Source.Close(), s.store.Close()) }

func openStoreSource(ctx context.Context, ref localstore.Reference, p storePlace) (*storeSource, error) {
	s, err := p.open(ctx, storeLook)
	if err != nil {
		return nil, err
	}
	p.Store = s.Store
	p.Resolve = service.New(s.Store, service.Options{Limits: p.Limits, Logger: p.Logger}).Document
	src, err := localstore.OpenSource(ctx, ref, p.Options)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &storeSource{src, s}, nil
}

// storeDestination is a destination that closes the store too.
type storeDestination struct {
	*localstore.Destination
	store *openedStore
}

func (d *storeDestination) Close() error { return errors.Join(d.Destination.Close(), d.store.Close()) }

func openStoreDestination(ctx context.Context, ref localstore.Reference, p storePlace) (*storeDestination, error) {
	s, err := p.open(ctx, storeFill)
	if err != nil {
		return nil, err
	}
	p.Store = s.Store
	dst, err := localstore.OpenDestination(ctx, ref, p.Options)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &storeDestination{dst, s}, nil
}
