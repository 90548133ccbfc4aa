package copy_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// sequence is a place that wants nodes one after the other.
type sequence struct {
	transport.Destination
	busy, most atomic.Int64
}

func (*sequence) Sequential() {}

func (s *sequence) Put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	if busy := s.busy.Add(1); busy > s.most.Load() {
		s.most.Store(busy)
	}
	defer s.busy.Add(-1)
	return s.Destination.Put(ctx, n, open)
}

func TestSequentialDestinationIsGivenThePlanInOrder(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	large := src.Image(testimage.Image{Platform: linux("s390x", ""), LayerSize: 5 << 20})
	src.root = src.Index(src.root, large, src.amd64)
	plan, err := copy.Prepare(t.Context(), plain{&place{}}, src, copy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		var dst place
		mustCopy(t, &sequence{Destination: plain{&dst}}, src, copy.Options{Parallel: 16})
		if !slices.EqualFunc(plan.Ops, dst.puts, func(op copy.Op, n transport.Node) bool { return op.Node.Desc.Digest == n.Desc.Digest }) {
			t.Fatal("the nodes came in another order than that of the plan")
		}
	}
	dst := sequence{Destination: plain{&place{}}}
	mustCopy(t, &dst, src, copy.Options{Parallel: 16})
	if most := dst.most.Load(); most != 1 {
		t.Errorf("%d nodes came at once", most)
	}
}
