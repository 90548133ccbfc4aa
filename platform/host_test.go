package platform

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestAnotherHost: where no platform is asked for, another machine can stand for this one.
func TestAnotherHost(t *testing.T) {
	t.Parallel()
	opts := Options{Host: &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}
	testRows(t, []row{
		{name: "host first, then all", op: Get, opts: opts, entries: service, want: "a64 v7 unsaid v6 s390 none amd i386 win"},
		{name: "host only", op: Pull, opts: opts, entries: service, want: "a64 v7 unsaid v6"},
		{name: "it does not count where one is asked for", op: Get, asked: "linux/amd64", opts: opts, entries: service, want: "amd"},
	})
}
