package containerd

import (
	"context"
	"fmt"
	"strings"
	"testing"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/dhowhq/dhow/store"
)

// hooked calls something before some calls to containerd; an error takes their place.
type hooked struct {
	leasesapi.LeasesClient
	remove func(id string) error // nil: nothing
	add    func(id string) error
}

func (h hooked) Delete(ctx context.Context, req *leasesapi.DeleteRequest, opts ...grpc.CallOption) (*emptypb.Empty, error) {
	if h.remove != nil {
		if err := h.remove(req.GetID()); err != nil {
			return nil, err
		}
	}
	return h.LeasesClient.Delete(ctx, req, opts...)
}

func (h hooked) AddResource(ctx context.Context, req *leasesapi.AddResourceRequest, opts ...grpc.CallOption) (*emptypb.Empty, error) {
	if h.add != nil {
		if err := h.add(req.GetID()); err != nil {
			return nil, err
		}
	}
	return h.LeasesClient.AddResource(ctx, req, opts...)
}

// TestFindLease shows that a lease is found whose ID says something to who reads it as a
// filter, where all leases are more than containerd can tell in one message.
func TestFindLease(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	labels := map[string]string{}
	for i := range 100 {
		labels[fmt.Sprint("label", i)] = strings.Repeat("x", 4000)
	}
	for i := range 50 { // of 400 KB each
		if _, err := s.createLease(t.Context(), store.Lease{ID: fmt.Sprint(i), Labels: labels}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Leases(t.Context()); !errdefs.IsResourceExhausted(err) {
		t.Fatalf("one message has all of them: %v", err)
	}
	for _, id := range []string{"plain", `a"b`, `a\b`, "a|b", "a/b", "a,id==x", "~=^.*", "a\nb\t\r\x00\x7f", "ä\u202e\U0001f40b", "\ufeff", " "} {
		if _, err := s.Lease(t.Context(), store.Lease{ID: id}); err != nil {
			t.Errorf("Lease %q: %v", id, err)
		}
		if l, err := s.findLease(t.Context(), id); err != nil || l.ID != id {
			t.Errorf("lease %q: %+v, %v", id, l.Lease, err)
		}
	}
	if l, err := s.findLease(t.Context(), "absent"); !errdefs.IsNotFound(err) {
		t.Errorf("a lease that there is not: %+v, %v", l.Lease, err)
	}
}

// once returns what does something for the first call with that ID.
func once(id string, do func() error) func(string) error {
	done := false
	return func(called string) error {
		if done || called != id {
			return nil
		}
		done = true
		return do()
	}
}
