package copy

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/transport"
)

// heldAhead bounds the descriptors that were had before they are wanted.
const heldAhead = referrersOfOne

// ahead asks a source what is attached to documents before it is wanted: the names
// once the root is known, and the referrers of a document while that is read. An error
// is told to who wants the answer; an answer that nobody wants is dropped with it.
type ahead struct {
	ctx       context.Context //nolint:containedctx // that of the loader
	cancel    context.CancelFunc
	referrers transport.Referrers
	lister    transport.Lister // nil: there are no names
	names     *answer[map[digest.Digest][]string]

	all     sync.WaitGroup
	mu      sync.Mutex
	known   map[digest.Digest]*answer[[]ocispec.Descriptor]
	queue   []digest.Digest // of them, those that nobody has begun to ask for
	workers int
	held    int // descriptors
}

// answer is a value that is on its way, if begun.
type answer[T any] struct {
	begun bool
	done  chan struct{}
	value T
	err   error
}

// newAhead asks nothing yet.
func newAhead(ctx context.Context, l *loader) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{ctx: ctx, cancel: cancel, known: map[digest.Digest]*answer[[]ocispec.Descriptor]{}}
	if l.opts.wantReferrers() {
		a.referrers, _ = l.src.(transport.Referrers)
	}
	if src, ok := l.src.(transport.Lister); ok && l.opts.wantTags() {
		a.lister, a.names = src, &answer[map[digest.Digest][]string]{done: make(chan struct{})}
	}
	return a
}

// begin begins with the names, once. The first question to a source is what its
// reference means: all others wait for that, and while the source finds out how it is
// to be asked, they wait for whoever came first.
func (a *ahead) begin() {
	if a.names == nil || a.names.begun {
		return
	}
	a.names.begun = true
	a.all.Go(func() {
		defer close(a.names.done)
		a.names.value, a.names.err = digestTags(a.ctx, a.lister)
	})
}

// close ends everything that was begun, and waits for it.
func (a *ahead) close() {
	a.cancel()
	a.all.Wait()
}

// digestTags returns the names of the source that are digest tags, by digest.
func (a *ahead) digestTags(ctx context.Context) (map[digest.Digest][]string, error) {
	if a.names == nil {
		return nil, nil
	}
	return a.names.wait(ctx)
}

// ask has the referrers of a subject asked for when there is room.
func (a *ahead) ask(subject digest.Digest) {
	if a.referrers == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[subject] != nil {
		return
	}
	a.known[subject] = &answer[[]ocispec.Descriptor]{done: make(chan struct{})}
	a.queue = append(a.queue, subject)
	if a.workers < atOnce {
		a.workers++
		a.all.Go(a.work)
	}
}

// work asks for one subject after the other.
func (a *ahead) work() {
	for {
		subject, w := a.next()
		if w == nil {
			return
		}
		w.value, w.err = a.referrers.Referrers(a.ctx, subject)
		a.mu.Lock()
		a.held += len(w.value)
		a.mu.Unlock()
		close(w.done)
	}
}

// next takes a subject that nobody has asked for yet.
func (a *ahead) next() (digest.Digest, *answer[[]ocispec.Descriptor]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 && a.held < heldAhead && a.ctx.Err() == nil {
		subject := a.queue[0]
		a.queue = a.queue[1:]
		if w := a.known[subject]; !w.begun {
			w.begun = true
			return subject, w
		}
	}
	a.workers--
	return "", nil
}

// referrersOf returns the referrers of a subject, none where they are not wanted. What
// was not asked for ahead is asked for now.
func (a *ahead) referrersOf(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	if a.referrers == nil {
		return nil, nil
	}
	a.mu.Lock()
	w := a.known[subject]
	ours := w == nil || !w.begun
	if w != nil {
		w.begun = true
	}
	a.mu.Unlock()
	if ours {
		return a.referrers.Referrers(ctx, subject)
	}
	descs, err := w.wait(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held -= len(descs)
	delete(a.known, subject)
	return descs, err
}

// wait waits for an answer that was begun.
func (w *answer[T]) wait(ctx context.Context) (value T, err error) {
	select {
	case <-w.done:
		return w.value, w.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}

// digestTags lists the source's names of the form sha256-<hex>.sig, .att and .sbom by
// the digest that they are made of.
func digestTags(ctx context.Context, src transport.Lister) (map[digest.Digest][]string, error) {
	tags := map[digest.Digest][]string{}
	err := src.Names(ctx, func(name string) bool {
		if d, ok := digestOfTag(name); ok {
			tags[d] = append(tags[d], name)
		}
		return true
	})
	return tags, err
}
