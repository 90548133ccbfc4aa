package archive_test

import (
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/transport/archive"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestTransport(t *testing.T) {
	for name, tc := range map[string]struct {
		parse         func(details string) (archive.Reference, error)
		name, missing string
	}{
		"docker-archive with a name":    {archive.ParseDocker, ":localhost:5000/app:v1", ":localhost:5000/app:missing"},
		"docker-archive without a name": {archive.ParseDocker, "", ":missing"},
		"oci-archive with a name":       {archive.ParseOCI, ":app:v1", ":app:missing"},
		"oci-archive without a name":    {archive.ParseOCI, "", ":missing"},
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Factory{
				New: func(tb testing.TB) transporttest.Place {
					tb.Helper()
					return newPlace(tb, tc.parse, tc.name, tc.missing)
				},
				Cannot: transporttest.Cannot{Signatures: "an archive has no place for them"},
			})
		})
	}
}

// newPlace returns an archive that is not there yet.
func newPlace(tb testing.TB, parse func(string) (archive.Reference, error), name, missing string) transporttest.Place {
	tb.Helper()
	base := tb.TempDir()
	path := filepath.Join(base, "image.tar")
	source := transporttest.Sources(parse, archive.OpenSource, archive.Options{})
	return transporttest.Place{
		Destination: transporttest.Destinations(parse, archive.OpenDestination, archive.Options{})(path + name),
		Source:      source(path + name),
		Missing:     source(path + missing),
		Files:       base,
	}
}
