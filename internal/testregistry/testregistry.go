// Package testregistry starts real registries in process: implementations that behave
// differently where the specification leaves room, and where they do not follow it.
// A third one, which brings many modules along, is in the package distribution below.
// It is made for tests.
package testregistry

import (
	"io"
	"log" //nolint:depguard // go-containerregistry wants one of its loggers
	"log/slog"
	"net/http"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
)

// Olareg starts the registry that follows the specification: it has the referrers
// API, deletes, and takes sha512.
func Olareg(tb testing.TB) http.Handler {
	tb.Helper()
	on := true
	s := olareg.New(config.Config{
		Storage: config.ConfigStorage{StoreType: config.StoreMem},
		API:     config.ConfigAPI{DeleteEnabled: &on},
		Log:     slog.New(slog.DiscardHandler),
	})
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// GGCR starts the registry of go-containerregistry, without the referrers API. It
// does not mount, and cannot resume an upload.
func GGCR(testing.TB) http.Handler { return ggcr.New(quiet()) }

// GGCRWithReferrers starts it with the referrers API.
func GGCRWithReferrers(testing.TB) http.Handler {
	return ggcr.New(quiet(), ggcr.WithReferrersSupport(true))
}

func quiet() ggcr.Option { return ggcr.Logger(log.New(io.Discard, "", 0)) }
