package dir

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestTransport(t *testing.T) { //nolint:paralleltest // it counts goroutines
	transporttest.Run(t, transporttest.Factory{
		New: func(tb testing.TB) transporttest.Place {
			tb.Helper()
			path := filepath.Join(tb.TempDir(), "image")
			ref := reference(tb, path)
			return transporttest.Place{
				Destination: func(ctx context.Context) (transport.Destination, error) {
					return OpenDestination(ctx, ref, Options{})
				},
				Source: func(ctx context.Context) (transport.Source, error) {
					return OpenSource(ctx, ref, Options{})
				},
				Files: path,
			}
		},
		Cannot: transporttest.Cannot{Names: "a directory has no names"},
	})
}
