package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// cancelPublishing checks that a Publish whose context ends within it, wherever that is,
// can be repeated, and harms no other batch that wants the same blobs.
func (f Factory) cancelPublishing(t *testing.T) {
	w := f.world(t)
	lease := w.lease(t)
	done := false
	for after, n := 100*time.Microsecond, byte(0); !done; after, n = after*5/4, n+1 {
		one, two := w.begin(t, lease), w.begin(t, lease)
		var descs []ocispec.Descriptor
		for i, size := range []int{small, large, 1 << 20, 1 << 20} {
			desc := one.blob(t, bytes.Repeat([]byte{n, byte(i)}, size))
			two.put(t, desc, image.RoleLayer)
			descs = append(descs, desc)
		}
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := one.Publish(ctx)
		cancel()
		if done = err == nil; !done && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish after whose beginning by %v the context has ended: %v", after, err)
		}
		first, second := one, two
		if n%2 == 1 {
			first, second = two, one
		}
		first.publish(t)
		for _, desc := range descs {
			w.wantBlob(t, desc.Digest)
		}
		second.publish(t)
		one.close(t)
		two.close(t)
	}
}
