// Package containerd is the engine of package store over a running containerd: the
// blobs, names and leases of one of its namespaces, which other clients of the daemon
// see and may change too.
//
// Names are containerd's image records, and what dangles has the name that Docker's
// daemon gives it. What containerd cannot look up is kept in an index in memory, which
// is built when the store is opened and follows the daemon's events. Documents carry
// the labels by which containerd's own collector keeps what is below them.
//
// Which guarantees of package store this engine lacks is in docs/store-containerd.md.
package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/dhowhq/dhow/store"
)

// maxMessage is the size of the largest message that containerd sends, in bytes.
const maxMessage = 16 << 20

// Options change how a store is opened. Their zero value is ready for use.
type Options struct {
	// Logger is told of what cannot be read of what others wrote, and of a daemon that
	// is lost; nil tells nobody.
	Logger *slog.Logger
}

// Store is the engine. It is safe for concurrent use.
type Store struct {
	conn    *grpc.ClientConn
	content contentapi.ContentClient
	images  imagesapi.ImagesClient
	leases  leasesapi.LeasesClient
	events  eventsapi.EventsClient
	log     *slog.Logger
	address Address

	alive context.Context //nolint:containedctx // ends with Close, and with it what outlives a call
	end   context.CancelFunc
	wg    sync.WaitGroup

	index    *index
	fresh    *freshness
	docs     *documents
	pins     *pins
	ingests  *ingests
	moving   lock // held while names are looked at to be moved, and moved
	leasing  lock // held while a lease is replaced, or something is added to one
	sweeping lock // held by a collection
}

var _ store.Store = (*Store)(nil)

// Open connects to the containerd of an address, which is as ParseAddress has it, and
// builds the index of its names. A daemon that does not answer is ErrUnavailable.
func Open(ctx context.Context, address string, options Options) (*Store, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if err := a.reach(ctx); err != nil {
		return nil, err
	}
	s := &Store{
		address: a, log: options.Logger, index: newIndex(), fresh: newFreshness(), docs: newDocuments(),
		moving: newLock(), leasing: newLock(), sweeping: newLock(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.conn, err = grpc.NewClient("unix:"+a.Socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a socket of this machine, kept by its permissions
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minPause, Multiplier: 2, Jitter: 0.2, MaxDelay: maxPause},
			MinConnectTimeout: patience,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(s.unary), grpc.WithStreamInterceptor(s.stream))
	if err != nil {
		return nil, fmt.Errorf("containerd at %q: %w", a.Socket, err)
	}
	s.content, s.images = contentapi.NewContentClient(s.conn), imagesapi.NewImagesClient(s.conn)
	s.leases, s.events = leasesapi.NewLeasesClient(s.conn), eventsapi.NewEventsClient(s.conn)
	s.alive, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.pins, s.ingests = newPins(s), newIngests(s)
	s.wg.Go(s.watch)
	s.wg.Go(func() { s.keepSigning(signPause, signLook) }) //nolint:contextcheck // it outlives the call
	if err := s.fresh.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("containerd at %q: %w", a.Socket, err), s.Close()) //nolint:contextcheck // Close has none
	}
	return s, nil
}

// Close disconnects. It does not wait for what is open.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.pins.end(ctx)
	s.end()
	s.wg.Wait()
	return errors.Join(err, s.conn.Close())
}

// unary gives a call the namespace, and its error a kind.
func (s *Store) unary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return errgrpc.ToNative(invoke(s.named(ctx), method, req, reply, conn, opts...))
}

// stream does the same for a call of several messages, whose errors have no kind yet.
func (s *Store) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(s.named(ctx), desc, conn, method, opts...)
	return stream, errgrpc.ToNative(err)
}

// The headers that containerd reads.
const (
	headerNamespace = "containerd-namespace"
	headerLease     = "containerd-lease"
)

func (s *Store) named(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, headerNamespace, s.address.Namespace)
}

// underLease has what a call writes held by a lease.
func underLease(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, headerLease, id)
}

// lock is a mutex that is waited for no longer than a context lasts.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// take takes the lock; what it returns gives it back.
func (l lock) take(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// set is a set of digests.
type set map[digest.Digest]struct{}
