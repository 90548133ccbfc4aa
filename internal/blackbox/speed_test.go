package blackbox_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

// Bounds on the copy of a large image, and the image.
const (
	timesOfCp     = 1.1      // of cp -r, sync -f and one SHA-256 pass
	peakBytes     = 48 << 20 // resident memory
	largeLayers   = 16
	largeLayerLen = 100 << 20
	speedRounds   = 5
)

// TestLargeCopyBesideCp copies an image of 1.6 GB from layout to layout, and
// compares with what copying, syncing and verifying it costs without Dhow. The two
// take turns, and the medians are compared.
func TestLargeCopyBesideCp(t *testing.T) {
	long(t)
	base := t.TempDir()
	src := filepath.Join(base, "source")
	root := largeImage(t, src)
	var ours, theirs []float64
	var peak int64
	for round := range speedRounds {
		dst := filepath.Join(base, fmt.Sprintf("dhow%d", round))
		took, rss := timedCopy(t, src, dst)
		ours, peak = append(ours, took), max(peak, rss)
		if round == 0 {
			if got := verify(t, dst, "large"); got.Digest != root {
				t.Fatalf("copied %s, want %s", got.Digest, root)
			}
		}
		remove(t, dst)

		dst = filepath.Join(base, fmt.Sprintf("cp%d", round))
		theirs = append(theirs, timedCp(t, src, dst))
		remove(t, dst)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	ratio := ours[speedRounds/2] / theirs[speedRounds/2]
	t.Logf("dhow copy / (cp -r; sync -f; sha256) = %.2f (%.2f s / %.2f s), peak memory %d MB", ratio, ours[speedRounds/2], theirs[speedRounds/2], peak>>20)
	if ratio > timesOfCp {
		t.Errorf("%.2f times as long as cp, sync and a SHA-256 pass; want at most %.2f", ratio, timesOfCp)
	}
	if peak > peakBytes {
		t.Errorf("peak memory %d MB, want at most %d", peak>>20, int64(peakBytes)>>20)
	}
}

func remove(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	command(t, "sync", "-f", filepath.Dir(dir)) // so that the next round does not pay for it
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// timedCopy copies by Dhow and returns seconds and peak resident bytes.
func timedCopy(t *testing.T, src, dst string) (seconds float64, peak int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), dhow, "copy", "-q", "oci:"+src+":large", "oci:"+dst+":large")
	cmd.Stderr = os.Stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- cmd.Wait() }()
	for {
		select {
		case err := <-over:
			if err != nil {
				t.Fatal(err)
			}
			return time.Since(begin).Seconds(), peak
		case <-time.After(20 * time.Millisecond):
			peak = max(peak, residentPeak(cmd.Process.Pid))
		}
	}
}

// residentPeak reads the high-water mark of a process. That of its resource usage
// would do for less work, but begins with what the test itself has.
func residentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}

// timedCp does what a copy must at least do.
func timedCp(t *testing.T, src, dst string) float64 {
	t.Helper()
	begin := time.Now()
	command(t, "cp", "-r", src, dst)
	command(t, "sync", "-f", dst)
	err := filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f}, make([]byte, 1<<20))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(begin).Seconds()
}

// largeImage writes a layout with an image of random layers under the name large,
// layer by layer, and returns its digest.
func largeImage(t *testing.T, layout string) digest.Digest {
	t.Helper()
	var s testimage.Store
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for i := range largeLayers {
		data := make([]byte, largeLayerLen+i)
		_, _ = rand.Read(data) // it does not fail
		d := digest.FromBytes(data)
		path := filepath.Join(layout, "blobs", "sha256", d.Encoded())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(data))})
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d)
	}
	manifest.Config = s.JSON(ocispec.MediaTypeImageConfig, config)
	root := s.JSON(ocispec.MediaTypeImageManifest, manifest)
	if err := s.WriteLayout(layout, testimage.Named{Name: "large", Desc: root}); err != nil {
		t.Fatal(err)
	}
	return root.Digest
}
