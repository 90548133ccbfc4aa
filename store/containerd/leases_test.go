package containerd

import (
	"context"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
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
