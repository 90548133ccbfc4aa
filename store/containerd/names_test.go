package containerd

import (
	"context"
	"fmt"
	"testing"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/dhowhq/dhow/store"
)

// slowly calls something before a record is removed.
type slowly struct {
	imagesapi.ImagesClient
	remove func(ctx context.Context) error
}

func (c slowly) Delete(ctx context.Context, req *imagesapi.DeleteImageRequest, opts ...grpc.CallOption) (*emptypb.Empty, error) {
	if err := c.remove(ctx); err != nil {
		return nil, err
	}
	return c.ImagesClient.Delete(ctx, req, opts...)
}

// danglings makes dangling records of what is not there, and returns the moves that remove
// them.
func danglings(t *testing.T, s *Store, n int) []store.Move {
	t.Helper()
	o := &other{Store: s}
	var moves []store.Move
	for i := range n {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(t.Name(), i)), Size: 1}
		o.name(t, danglingName+desc.Digest.String(), desc)
		moves = append(moves, store.Move{Name: "@" + desc.Digest.String(), If: store.Condition{Digest: desc.Digest}, Forget: true})
	}
	return moves
}

// TestMoveMany shows that the daemon has as much time for each of many names that are moved
// at once as it has for one, and that all are moved when the context ends after the first.
func TestMoveMany(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	moves := danglings(t, s, 30)
	slow := func() { time.Sleep(10 * time.Millisecond) }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.leases = hooked{LeasesClient: s.leases, add: func(string) error { slow(); return nil }}
	s.images = slowly{s.images, func(ctx context.Context) error {
		if ends, ok := ctx.Deadline(); !ok || time.Until(ends) < patience-200*time.Millisecond {
			t.Errorf("a name has %s; want %s", time.Until(ends), patience)
		}
		cancel()
		slow()
		return nil
	}}
	if _, err := s.Move(ctx, moves...); err != nil {
		t.Error("Move:", err)
	}
	if found := keysOf(t, s, everything); len(found) != 0 {
		t.Errorf("%d of %d names are left", len(found), len(moves))
	}
}

// TestMoveLost shows that nothing more is moved when the daemon is lost, and that nobody has
// to wait for each of what is left.
func TestMoveLost(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	moves := danglings(t, s, 3)
	eventually(t, "they are found", func() bool { return len(keysOf(t, s, everything)) == len(moves) })
	calls := 0
	s.images = slowly{s.images, func(context.Context) error {
		if calls++; calls == 2 {
			return fmt.Errorf("no answer: %w", context.DeadlineExceeded)
		}
		return nil
	}}
	if _, err := s.Move(t.Context(), moves...); !errdefs.IsDeadlineExceeded(err) || calls != 2 {
		t.Errorf("Move: %v, after %d calls", err, calls)
	}
	if found := keysOf(t, s, everything); len(found) != len(moves)-1 {
		t.Errorf("%d of %d names are left", len(found), len(moves))
	}
	all, err := s.listLeases(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("leases that are left: %+v, %v", all, err)
	}
}
