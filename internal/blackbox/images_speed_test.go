package blackbox_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on whole processes of the binary, on a store with so many images of two platforms.
const (
	speedImages  = 1000
	imagesTime   = 60 * time.Millisecond
	inspectTime  = 25 * time.Millisecond
	commandTimes = 31
)

// TestImagesSpeed measures how long commands about images take from the start of the process
// to its end: the median of many runs counts.
func TestImagesSpeed(t *testing.T) {
	long(t)
	l := &local{dir: filepath.Join(t.TempDir(), "store")}
	s := l.open(t)
	names := map[string]ocispec.Descriptor{}
	var last ocispec.Descriptor
	for i := range speedImages {
		var entries []ocispec.Descriptor
		for _, arch := range []string{"amd64", "arm64"} {
			entries = append(entries, l.src.Plain(ocispec.Platform{OS: "linux", Architecture: arch}, "base", fmt.Sprint(arch, i)))
		}
		last = l.src.Index(entries...)
		names[fmt.Sprintf("docker.io/library/app%d:1", i)] = last
	}
	l.write(t, s, names)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args  []string
		bound time.Duration
	}{
		{[]string{"images"}, imagesTime},
		{[]string{"inspect", last.Digest.Encoded()[:12]}, inspectTime},
		{[]string{"version"}, inspectTime}, // what a process costs
	} {
		took := make([]time.Duration, commandTimes)
		for i := range took {
			cmd := exec.CommandContext(t.Context(), dhow, append([]string{"--root", l.dir}, tc.args...)...)
			begin := time.Now()
			out, err := cmd.Output()
			took[i] = time.Since(begin)
			if err != nil || len(out) == 0 {
				t.Fatalf("%q: %v", tc.args, err)
			}
		}
		slices.Sort(took)
		median := took[commandTimes/2]
		t.Logf("dhow %s with %d images: median %.1f ms, fastest %.1f ms", tc.args[0], speedImages, milliseconds(median), milliseconds(took[0]))
		if median > tc.bound {
			t.Errorf("dhow %s takes %s, want at most %s", tc.args[0], median, tc.bound)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
