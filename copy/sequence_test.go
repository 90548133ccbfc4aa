package copy_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
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

// far is a source whose every answer takes a while, and of which some blobs are damaged the
// first time.
type far struct {
	*sample
	mu      sync.Mutex
	damaged map[digest.Digest]bool
	told    []digest.Digest
}

const faraway = 10 * time.Millisecond

func (f *far) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	time.Sleep(faraway)
	r, err := f.sample.Open(ctx, desc, from)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.damaged[desc.Digest] {
		f.damaged[desc.Digest] = false
		return io.NopCloser(strings.NewReader("damaged")), r.Close()
	}
	return r, err
}

// Distrust is transport.Elsewhere's.
func (f *far) Distrust(desc ocispec.Descriptor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, desc.Digest)
	return true
}

// TestSmallBlobsAreReadAheadOfTheirTurn copies an image of many small layers from far away.
func TestSmallBlobsAreReadAheadOfTheirTurn(t *testing.T) {
	t.Parallel()
	const layers = 80
	src := &far{sample: newSample(), damaged: map[digest.Digest]bool{}}
	src.root = src.Image(testimage.Image{Platform: linux("amd64", ""), Layers: layers})
	doc, err := image.Decode(src.Get(src.root.Digest), image.Declared{Descriptor: src.root.MediaType}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	bad := doc.Edges()[7].Desc.Digest
	src.damaged[bad] = true
	var dst place
	began := time.Now()
	mustCopy(t, &sequence{Destination: plain{&dst}}, src, copy.Options{NoReferrers: true, NoDigestTags: true})
	if took := time.Since(began); took > layers*faraway/2 {
		t.Errorf("it took %v; one after the other it would be %v", took, layers*faraway)
	}
	if len(src.told) != 1 || src.told[0] != bad {
		t.Errorf("the source was told of %v, want %s", src.told, bad)
	}
	opened := map[digest.Digest]int{}
	for _, d := range src.opened {
		opened[d]++
	}
	for d, n := range opened {
		if want := 1; n != want && d != bad {
			t.Errorf("%s was opened %d times", d, n)
		}
	}
	if got := len(dst.Digests()); got != layers+2 {
		t.Errorf("%d blobs arrived, want %d", got, layers+2)
	}
}

// TestReadAheadIsBounded holds back what is read: the destination takes nothing.
func TestReadAheadIsBounded(t *testing.T) {
	t.Parallel()
	src := newSample()
	src.root = src.Image(testimage.Image{Platform: linux("amd64", ""), Layers: 40, LayerSize: 900 << 10})
	ctx, cancel := context.WithCancel(t.Context())
	opened := func() int {
		src.mu.Lock()
		defer src.mu.Unlock()
		return len(src.opened)
	}
	stuck := &place{fail: func(transport.Node) error {
		for deadline := time.Now().Add(time.Minute); opened() < 10 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // for those that there should not be
		cancel()
		return ctx.Err()
	}}
	_, err := copy.Image(ctx, &sequence{Destination: plain{stuck}}, src, copy.Options{NoReferrers: true, NoDigestTags: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Image: %v", err)
	}
	if n := opened(); n < 10 || n > 20 {
		t.Errorf("%d blobs of 900 KiB were read ahead", n)
	}
}
