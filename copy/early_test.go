package copy_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/transport"
)

// slowReferrers is a source that says what is attached only when a node was put.
type slowReferrers struct {
	transport.Source
	from *sample
	put  chan struct{}
	fail error
}

func (s *slowReferrers) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	select {
	case <-s.put:
	case <-time.After(10 * time.Second):
		return nil, errors.New("nothing moved before it was known what is attached")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.fail != nil {
		return nil, s.fail
	}
	return s.from.Referrers(ctx, subject)
}

// TestBlobsMoveBeforeReferrersAreKnown shows that an image begins to move when it is
// known itself, and that what is attached arrives with it.
func TestBlobsMoveBeforeReferrersAreKnown(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]error{"and they come": nil, "and they cannot be had": errors.New("the cable was cut")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSample()
			late := src.Referrer(src.root, "application/x", "late")
			src.referrers = map[digest.Digest][]ocispec.Descriptor{src.root.Digest: {late}}
			slow := &slowReferrers{Source: src, from: src, put: make(chan struct{}), fail: fail}
			var once sync.Once
			dst := place{fail: func(transport.Node) error {
				once.Do(func() { close(slow.put) })
				return nil
			}}
			var grown int
			rec, err := copy.Image(t.Context(), &dst, slow, copy.Options{Events: func(e copy.Event) {
				if e.Kind == copy.EventGrown {
					grown = e.Count
				}
			}})
			if !errors.Is(err, fail) {
				t.Fatal(err)
			}
			if fail != nil {
				if len(dst.commits) > 0 || rec == nil {
					t.Errorf("names moved: %v; the receipt: %+v", dst.commits, rec)
				}
				return
			}
			if n := len(src.Digests()); grown != n || actions(rec)[copy.Copied] != n || dst.referrers[src.root.Digest] == nil {
				t.Errorf("grown to %d of %d nodes; %v", grown, n, actions(rec))
			}
		})
	}
}

// rootFirst is a source of which nothing else may be asked before its root is known.
type rootFirst struct {
	*sample
	known atomic.Bool
	early atomic.Bool
}

func (s *rootFirst) Root(ctx context.Context) (ocispec.Descriptor, error) {
	time.Sleep(20 * time.Millisecond)
	defer s.known.Store(true)
	return s.sample.Root(ctx)
}

func (s *rootFirst) Names(ctx context.Context, yield func(string) bool) error {
	s.early.CompareAndSwap(false, !s.known.Load())
	return s.sample.Names(ctx, yield)
}

func TestRootIsAskedFirst(t *testing.T) {
	t.Parallel()
	src := &rootFirst{sample: newSample().attach()}
	var dst place
	if _, err := copy.Image(t.Context(), &dst, src, copy.Options{}); err != nil {
		t.Fatal(err)
	}
	if src.early.Load() {
		t.Error("the names were asked for before the root was known")
	}
	if dst.names[src.tag].Digest == "" {
		t.Errorf("the digest tag has not arrived: %v", dst.names)
	}
}
