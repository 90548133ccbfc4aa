package contentstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/testsuite"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/store/contentstore"
)

// TestContentSuite runs containerd's own suite, which wants labels and namespaces: so
// the adapter stands where containerd's local store stands.
func TestContentSuite(t *testing.T) {
	shared, isolated := labelled(t), labelled(t, metadata.WithPolicyIsolated)
	testsuite.ContentSuite(t, "dhow", shared)
	testsuite.ContentCrossNSSharedSuite(t, "dhow", shared)
	testsuite.ContentCrossNSIsolatedSuite(t, "dhow", isolated)
	testsuite.ContentSharedNSIsolatedSuite(t, "dhow", isolated)
}

// labelled returns what opens the adapter with containerd's metadata before it.
func labelled(t *testing.T, opts ...metadata.DBOpt) testsuite.StoreInitFn {
	t.Helper()
	return func(ctx context.Context, root string) (context.Context, content.Store, func() error, error) {
		s, err := open(ctx, filepath.Join(root, "store"))
		if err != nil {
			return nil, nil, nil, err
		}
		db, err := bolt.Open(filepath.Join(root, "metadata.db"), 0o600, nil)
		if err != nil {
			return nil, nil, nil, errors.Join(err, s.Close())
		}
		var count atomic.Int64
		ctx = testsuite.SetContextWrapper(ctx, func(ctx context.Context, sharedNS bool) (context.Context, func(context.Context) error, error) {
			name := fmt.Sprintf("n%d", count.Add(1))
			ctx = namespaces.WithNamespace(ctx, name)
			done := func(context.Context) error { return nil }
			if !sharedNS {
				return ctx, done, nil
			}
			return ctx, done, db.Update(func(tx *bolt.Tx) error {
				return metadata.NewNamespaceStore(tx).SetLabel(ctx, name, labels.LabelSharedNamespace, "true")
			})
		})
		return ctx, metadata.NewDB(db, contentstore.New(s, contentstore.Options{}), nil, opts...).ContentStore(), func() error {
			return errors.Join(db.Close(), s.Close())
		}, nil
	}
}
