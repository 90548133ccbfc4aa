package service

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Action is what was done to an image.
type Action string

// The actions.
const (
	ActionPull   Action = "pull"
	ActionPush   Action = "push"
	ActionTag    Action = "tag"
	ActionUntag  Action = "untag"
	ActionDelete Action = "delete"
	ActionImport Action = "import"
	ActionLoad   Action = "load"
	ActionSave   Action = "save"
	ActionPrune  Action = "prune"
)

// Event says that something was done.
type Event struct {
	// Time is when, by the service's clock.
	Time   time.Time
	Action Action
	// ID is the digest of the image's target; for pull and push, which are about names,
	// the familiar reference; empty for prune.
	ID string
	// Name is the familiar name that it was about; empty if there was none.
	Name string
	// Attributes are further facts. They must not be changed.
	Attributes map[string]string
	// Lost is how many events before this one are gone, wanted or not, which the reader was
	// too slow for.
	Lost uint64
}

// AttributeReclaimed is how many bytes a prune has freed, in decimal.
const AttributeReclaimed = "reclaimed"

// keptEvents is how many events are remembered: for those who ask for what has been, and
// for readers that are behind.
const keptEvents = 256

// EventOptions choose events. The zero value is all that are still to come.
type EventOptions struct {
	// Since is from when on those are wanted that have been already, as far as they are
	// among the last 256; zero: none.
	Since time.Time
	// Until ends the events; zero: they do not end.
	Until time.Time
	// Want reports whether an event is wanted; nil: all are. It is called by the reader.
	Want func(Event) bool
}

// Events returns the events from this call on, and those before that are asked for, in
// the order in which they came. The sequence ends with ctx and at Until; what had happened
// by then is still in it. A reader that is slower than 256 events loses the oldest of
// them, and the next event says how many; no operation ever waits for a reader. Since
// after Until is ErrInvalidArgument.
func (s *Service) Events(ctx context.Context, opts EventOptions) (iter.Seq[Event], error) {
	if !opts.Since.IsZero() && !opts.Until.IsZero() && opts.Since.After(opts.Until) {
		return nil, fmt.Errorf("events since %s until %s: %w", opts.Since.Format(time.RFC3339Nano), opts.Until.Format(time.RFC3339Nano), errdefs.ErrInvalidArgument)
	}
	next := s.events.from(opts.Since)
	return func(yield func(Event) bool) {
		var over <-chan time.Time
		if !opts.Until.IsZero() {
			timer := time.NewTimer(opts.Until.Sub(s.opts.Clock()))
			defer timer.Stop()
			over = timer.C
		}
		lost := uint64(0) // that no event has told yet
		s.events.read(ctx, next, over, func(e Event) bool {
			if !opts.Until.IsZero() && e.Time.After(opts.Until) {
				return false
			}
			lost += e.Lost
			if opts.Want != nil && !opts.Want(e) {
				return true
			}
			e.Lost, lost = lost, 0
			return yield(e)
		})
	}, nil
}

// emit tells of what was done. It does not wait.
func (s *Service) emit(e Event) {
	e.Attributes = maps.Clone(e.Attributes)
	e.Lost = 0
	s.events.add(e, s.opts.Clock)
}

// broker hands events to readers, who come for them. Its zero value is empty.
type broker struct {
	mu   sync.Mutex
	last [keptEvents]Event // that of number n is at n modulo the length
	next uint64            // the number of the next event
	more chan struct{}     // closed when it comes; nil if nobody waits
}

func (b *broker) add(e Event, clock func() time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = clock()
	}
	b.last[b.next%keptEvents] = e
	b.next++
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

// oldest is the number of the oldest event that is kept. The caller has the lock.
func (b *broker) oldest() uint64 { return b.next - min(b.next, keptEvents) }

// from returns the number of the first event to read: of the oldest since a time that is
// kept, or of the next one.
func (b *broker) from(since time.Time) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if since.IsZero() {
		return b.next
	}
	n := b.oldest()
	for n < b.next && b.last[n%keptEvents].Time.Before(since) {
		n++
	}
	return n
}

// read calls f with the events from a number on until f returns false, ctx ends or it is
// over.
func (b *broker) read(ctx context.Context, next uint64, over <-chan time.Time, f func(Event) bool) {
	for ended := false; ; {
		b.mu.Lock()
		if next == b.next && !ended {
			if b.more == nil {
				b.more = make(chan struct{})
			}
			more := b.more
			b.mu.Unlock()
			select {
			case <-more:
			case <-over:
				ended = true
			case <-ctx.Done():
				ended = true
			}
			continue
		}
		if next == b.next {
			b.mu.Unlock()
			return
		}
		lost := max(next, b.oldest()) - next
		next += lost
		e := b.last[next%keptEvents]
		b.mu.Unlock()
		next++
		e.Lost = lost
		if !f(e) || ctx.Err() != nil {
			return
		}
	}
}
