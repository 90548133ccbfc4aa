// Package distribution starts distribution v3 in process, the registry that most
// others are made of. It is made for tests.
package distribution

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the driver registers itself
	"github.com/sirupsen/logrus"                                                   //nolint:depguard // to silence that of distribution
)

// New starts a registry that deletes. It has no referrers API, wants the entries of
// an index to be manifests, and ends not all that it has begun: a test that counts
// goroutines starts it once, before.
func New(tb testing.TB) http.Handler {
	tb.Helper()
	logrus.SetOutput(io.Discard) // it logs each request there
	c := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem":  {"rootdirectory": tb.TempDir()},
		"delete":      {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	c.HTTP.Secret = "not secret"
	c.Catalog.MaxEntries = 1000
	ctx, cancel := context.WithCancel(context.Background())
	app := handlers.NewApp(ctx, c)
	tb.Cleanup(func() {
		cancel()
		if err := app.Shutdown(); err != nil {
			tb.Error(err)
		}
	})
	return app
}
