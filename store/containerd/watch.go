package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// The pauses before a lost daemon is asked again.
const minPause, maxPause = 50 * time.Millisecond, 5 * time.Second

// freshness tells whether the index follows the daemon.
type freshness struct {
	mu      sync.Mutex
	follows bool
	once    bool          // it has followed
	err     error         // why not, once that is known
	changed chan struct{} // closed at the next change
}

func newFreshness() *freshness { return &freshness{changed: make(chan struct{})} }

func (f *freshness) set(follows bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follows, f.err = follows, err
	f.once = f.once || follows
	close(f.changed)
	f.changed = make(chan struct{})
}

// ever tells whether the index has followed the daemon.
func (f *freshness) ever() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.once
}

// wait waits until the index follows the daemon, or that has failed.
func (f *freshness) wait(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.mu.Lock()
		follows, err, changed := f.follows, f.err, f.changed
		f.mu.Unlock()
		if follows || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// watch follows the daemon until the store is closed. The events are asked for before
// the index is built, so that none is missed.
func (s *Store) watch() {
	for pause := minPause; ; {
		began := time.Now()
		err := s.follow(s.alive)
		if s.alive.Err() != nil {
			s.fresh.set(false, fmt.Errorf("the store is closed: %w", errdefs.ErrUnavailable))
			return
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		if s.fresh.ever() { // else Open says it
			s.log.Warn("the events of containerd have ended", "error", err)
		}
		s.fresh.set(false, fmt.Errorf("the names are not known: %w", err))
		select {
		case <-time.After(pause):
		case <-s.alive.Done():
		}
		pause = min(2*pause, maxPause)
	}
}

// follow builds the index and changes it by the events until they end.
func (s *Store) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	space := fmt.Sprintf("namespace==%q,", s.address.Namespace)
	events, err := s.events.Subscribe(ctx, &eventsapi.SubscribeRequest{
		Filters: []string{space + `topic~="^/images/"`, space + `topic~="^/content/"`, space + `topic=="` + topicMark + `"`},
	})
	if err != nil {
		return err
	}
	if err := s.mark(ctx, cancel, events); err != nil {
		return err
	}
	if err := s.rebuild(ctx); err != nil {
		return err
	}
	s.fresh.set(true, nil)
	return s.receive(ctx, events)
}

// topicMark is the topic of an event of our own.
const topicMark = "/dhow/mark"

// mark publishes events until one of them comes back: from then on none is missed. The
// daemon does not tell otherwise when it has begun.
func (s *Store) mark(ctx context.Context, cancel context.CancelCauseFunc, events grpc.ServerStreamingClient[types.Envelope]) error {
	publishing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		event := &anypb.Any{TypeUrl: string((&apievents.ImageUpdate{}).ProtoReflect().Descriptor().FullName())}
		for pause := time.Millisecond; publishing.Err() == nil; pause = min(2*pause, maxPause) {
			_, err := s.events.Publish(publishing, &eventsapi.PublishRequest{Topic: topicMark, Event: event})
			if err != nil && publishing.Err() == nil {
				cancel(err)
			}
			select {
			case <-time.After(pause):
			case <-publishing.Done():
			}
		}
	})
	for {
		envelope, err := events.Recv()
		if err != nil {
			return errors.Join(context.Cause(ctx), errgrpc.ToNative(err))
		}
		if envelope.GetTopic() == topicMark {
			return nil
		}
	}
}

// receive handles events.
func (s *Store) receive(ctx context.Context, events grpc.ServerStreamingClient[types.Envelope]) error {
	for {
		envelope, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("there are no more events: %w", errdefs.ErrUnavailable)
		}
		if err != nil {
			return errgrpc.ToNative(err)
		}
		if err := s.handle(ctx, envelope); err != nil {
			return fmt.Errorf("event %s: %w", envelope.GetTopic(), err)
		}
	}
}

// handle looks again at what an event is about: what it says may be outdated.
func (s *Store) handle(ctx context.Context, envelope *types.Envelope) error {
	topic, data := envelope.GetTopic(), envelope.GetEvent().GetValue()
	var event interface {
		proto.Message
		GetName() string
	}
	switch topic {
	case "/images/create":
		event = &apievents.ImageCreate{}
	case "/images/update":
		event = &apievents.ImageUpdate{}
	case "/images/delete":
		event = &apievents.ImageDelete{}
	case "/content/create", "/content/delete":
		return s.handleContent(ctx, topic, data)
	default:
		return nil
	}
	if err := proto.Unmarshal(data, event); err != nil {
		return err
	}
	return s.refresh(ctx, event.GetName())
}

// handleContent looks again at the records that contain a blob which came or went.
func (s *Store) handleContent(ctx context.Context, topic string, data []byte) error {
	var d digest.Digest
	if strings.HasSuffix(topic, "create") {
		var event apievents.ContentCreate
		if err := proto.Unmarshal(data, &event); err != nil {
			return err
		}
		d = digest.Digest(event.GetDigest())
	} else {
		var event apievents.ContentDelete
		if err := proto.Unmarshal(data, &event); err != nil {
			return err
		}
		d = digest.Digest(event.GetDigest())
		s.docs.forget(d)
	}
	return s.lookAbove(ctx, d)
}

// lookAbove looks again at the records that contain blobs which came or went.
func (s *Store) lookAbove(ctx context.Context, blobs ...digest.Digest) error {
	release, err := s.moving.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	above := map[string]store.Record{}
	for _, d := range blobs {
		for _, r := range s.index.above(d) {
			above[r.Key()] = r
		}
	}
	return s.relearn(ctx, slices.Collect(maps.Values(above)))
}

// relearn looks again at what records contain.
func (s *Store) relearn(ctx context.Context, records []store.Record) error {
	for _, r := range records {
		if err := s.learnGraph(ctx, rootEdge(r)); err != nil {
			return err
		}
	}
	s.reindex(records...)
	return nil
}

// rootEdge returns what leads to the target of a record.
func rootEdge(r store.Record) image.Edge {
	role := image.RoleManifest
	if image.IsList(r.Target.MediaType) {
		role = image.RoleIndex
	}
	return image.Edge{Desc: r.Target, Role: role}
}

// refresh looks again at one name.
func (s *Store) refresh(ctx context.Context, name string) error {
	key, ours := keyOf(name)
	if !ours {
		return nil
	}
	release, err := s.moving.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	r, err := s.getImage(ctx, name)
	if errdefs.IsNotFound(err) {
		s.change(map[string]*entry{key: nil})
		return nil
	}
	if err != nil {
		return err
	}
	return s.relearn(ctx, []store.Record{r})
}
