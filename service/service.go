package service

import (
	"context"
	"log/slog"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
)

// Options are the choices of a Service. The zero value is the default.
type Options struct {
	// Host is the platform that is preferred where none is asked for; nil means
	// platform.Host.
	Host *ocispec.Platform
	// Driver is the name of the store's engine, as details of images have it; empty
	// means "embedded".
	Driver string
	// Limits bound the documents that are read, and the graphs that they make.
	Limits image.Limits
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
	// Logger takes what may help to find a fault; nil means none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Host == nil {
		host := platform.Host()
		o.Host = &host
	}
	if o.Driver == "" {
		o.Driver = "embedded"
	}
	o.Limits = o.Limits.WithDefaults()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Service is the image service on one store. It does not close the store.
type Service struct {
	store   store.Store
	opts    Options
	graphs  sync.Pool // of *graph
	known   outlines
	events  broker
	pruning sync.Mutex // one at a time
}

// New returns the service on a store.
func New(s store.Store, opts Options) *Service {
	return &Service{store: s, opts: opts.withDefaults()}
}

// view calls f with all names and blobs as they are at one moment. f does not write.
func (s *Service) view(ctx context.Context, f func(v *view) error) error {
	return s.store.View(ctx, func(names store.NameReader) error {
		return f(&view{NameReader: names, s: s, ctx: ctx})
	})
}

// view is one moment of the store.
type view struct {
	store.NameReader
	s *Service
	// What looks at many images has these; nil: each blob is looked up by itself.
	seen   *seen
	survey store.Survey
	below  store.Outline   // of what is being walked through
	ctx    context.Context //nolint:containedctx // it lives as long as the call that it belongs to
}
