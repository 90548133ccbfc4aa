package contentstore_test

import (
	"context"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// open opens the store that the adapter is tested over.
func open(ctx context.Context, dir string) (store.Store, error) {
	return embedded.Open(ctx, dir, embedded.Options{})
}
