package platform

import (
	"math/rand/v2"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestSelectIsSortByLess compares Select, which groups, with the plain reading of
// its contract, on random lists.
func TestSelectIsSortByLess(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	pool := []string{
		"linux/amd64", "linux/x86_64", "linux/amd64/v1", "linux/amd64/v2", "linux/386", "linux/i386", "linux/arm64", "linux/arm64/v8", "linux/arm/v7", "linux/arm",
		"linux/armhf", "linux(+x)/amd64", "linux(6.1)/amd64", "windows/amd64", "windows(10.0.20348.1)/amd64", "windows(10.0.20348.2+win32k)/amd64", "windows(10.0.26100.2)/amd64",
		"unknown/unknown", "linux/", "-", "{}",
	}
	asked := []string{"linux/amd64/v2", "linux(+x)/amd64", "linux/arm64", "linux/arm", "windows(10.0.26100.1)/amd64", "windows/amd64", "linux/i386"}
	for range 2000 {
		entries := make([]ocispec.Descriptor, 1+rng.IntN(12))
		for i := range entries {
			entries[i].Platform = rawPlatform(pool[rng.IntN(len(pool))])
			if rng.IntN(3) == 0 {
				entries[i].Annotations = map[string]string{annotationZstd: "true"}
			}
		}
		op, p := Operation(rng.IntN(int(Classic)+1)), rawPlatform(asked[rng.IntN(len(asked))])
		opts := Options{Compatible: rng.IntN(2) == 0, PreferGzip: rng.IntN(2) == 0}
		got, err := Select(op, p, entries, opts)
		want := naive(t, op, p, entries, opts)
		if !slices.Equal(got, want) || (err == nil) != (len(want) > 0) {
			t.Fatalf("%s of %s, %+v: got %v (%v), want %v", op, Format(*p), opts, got, err, want)
		}
	}
}

func naive(t *testing.T, op Operation, asked *ocispec.Platform, entries []ocispec.Descriptor, opts Options) []int {
	t.Helper()
	m, err := Matcher(op, asked, opts)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) ocispec.Platform {
		if entries[i].Platform == nil {
			return ocispec.Platform{}
		}
		return *entries[i].Platform
	}
	var chosen []int
	for i := range entries {
		if m.Match(at(i)) {
			chosen = append(chosen, i)
		}
	}
	if op == CopySeveral {
		return chosen
	}
	slices.SortStableFunc(chosen, func(i, j int) int {
		switch {
		case m.Less(at(i), at(j)):
			return -1
		case m.Less(at(j), at(i)):
			return 1
		case op == CopyOne && zstd(entries[i]) != zstd(entries[j]):
			if zstd(entries[i]) == opts.PreferGzip {
				return 1
			}
			return -1
		}
		return 0
	})
	return chosen
}
