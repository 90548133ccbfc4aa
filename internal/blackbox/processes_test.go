package blackbox_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

// TestTwoProcessesLoseNothing copies two images into one layout from two
// processes at once, again and again into a fresh one.
func TestTwoProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	const tries = 100
	src := t.TempDir()
	var s testimage.Store
	var names []testimage.Named
	shared := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	for _, name := range []string{"one", "two"} {
		own := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, Name: name})
		names = append(names, testimage.Named{Name: name, Desc: s.Index(shared, own)})
	}
	if err := s.WriteLayout(src, names...); err != nil {
		t.Fatal(err)
	}
	for try := range tries {
		dst := filepath.Join(t.TempDir(), "layout")
		var both []*exec.Cmd
		for _, n := range names {
			cmd := exec.CommandContext(t.Context(), dhow, "copy", "-q", "oci:"+src+":"+n.Name, "oci:"+dst+":"+n.Name)
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			both = append(both, cmd)
		}
		for _, cmd := range both {
			if err := cmd.Wait(); err != nil {
				t.Fatalf("try %d: %v", try, err)
			}
		}
		for _, n := range names {
			if root := verify(t, dst, n.Name); root.Digest != n.Desc.Digest {
				t.Fatalf("try %d: %s is %s, want %s", try, n.Name, root.Digest, n.Desc.Digest)
			}
		}
		noLeftovers(t, dst)
	}
}

// noLeftovers fails the test if a layout has anything but what its format knows.
func noLeftovers(t *testing.T, layout string) {
	t.Helper()
	err := filepath.WalkDir(layout, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(layout, path)
		switch parts := strings.Split(filepath.ToSlash(rel), "/"); {
		case rel == "index.json", rel == "oci-layout":
		case len(parts) == 3 && parts[0] == "blobs" && digest.Digest(parts[1]+":"+parts[2]).Validate() == nil:
		default:
			t.Errorf("%s was left behind", rel)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestKilledCopies kills copies at random moments. A killed copy never shows a
// half-done image, and repeating it completes it.
func TestKilledCopies(t *testing.T) {
	t.Parallel()
	t.Run("short", func(t *testing.T) { killCopies(t, 8, 12<<20, 0) })
	t.Run("long", func(t *testing.T) {
		long(t)
		killCopies(t, 50, 640<<20, time.Second)
	})
}

// killCopies kills so many copies of an image of that size, which must take at
// least a time when nobody kills them. SHA-512 and one worker make them slow.
func killCopies(t *testing.T, kills int, size int, atLeast time.Duration) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	src, base := filepath.Join(t.TempDir(), "source"), t.TempDir()
	root := slowImage(t, src, size)
	old := oldImage(t, src)

	args := func(dst string) []string {
		return []string{"copy", "-q", "--parallel", "1", "oci:" + src + ":new", "oci:" + dst + ":name"}
	}
	whole := fastest(t, filepath.Join(base, "whole"), args)
	if whole < atLeast {
		t.Fatalf("a copy takes %v, too short to be killed", whole)
	}
	landed := 0
	for i := range kills {
		dst := filepath.Join(base, fmt.Sprint(i))
		before := digest.Digest("")
		if i%2 == 1 { // the name has another image before
			must(t, "copy", "-q", "oci:"+src+":old", "oci:"+dst+":name")
			before = old
		}
		if took, ended := killed(t, time.Duration(random.Float64()*0.95*float64(whole)), args(dst)...); ended {
			whole = min(whole, took) // the machine had other work when it was timed
		} else {
			landed++
		}
		checkKilled(t, dst, before, root)
		must(t, args(dst)...)
		if got := verify(t, dst, "name"); got.Digest != root {
			t.Errorf("kill %d: repeated, the name is %s, want %s", i, got.Digest, root)
		}
		noLeftovers(t, dst)
		if err := os.RemoveAll(dst); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d kills landed before the end of a copy of %v", landed, kills, whole)
	if landed == 0 || (atLeast > 0 && landed < kills*4/5) {
		t.Errorf("only %d of %d kills landed before the end", landed, kills)
	}
}

// fastest returns how long a copy takes when nobody kills it: the least of three
// times, since the machine may have other work.
func fastest(t *testing.T, dst string, args func(dst string) []string) time.Duration {
	t.Helper()
	least := time.Hour
	for range 3 {
		begin := time.Now()
		must(t, args(dst)...)
		least = min(least, time.Since(begin))
		if err := os.RemoveAll(dst); err != nil {
			t.Fatal(err)
		}
	}
	return least
}

// killed starts the binary and kills it after a while. It returns how long it ran,
// and whether it had ended by itself.
func killed(t *testing.T, after time.Duration, args ...string) (took time.Duration, ended bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), dhow, args...)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended by itself
	defer kill.Stop()
	_ = cmd.Wait() // with an error if it was killed
	took = time.Since(begin)
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return took, !ok || !status.Signaled()
}

// checkKilled demands that after a kill the name is what it was before, or the
// whole new image.
func checkKilled(t *testing.T, dst string, before, root digest.Digest) {
	t.Helper()
	out, code := run(t, "inspect", "--format", "{{.Digest}}", "oci:"+dst+":name")
	switch got := digest.Digest(strings.TrimSpace(out)); {
	case code != 0 && before != "":
		t.Errorf("the old image is gone: exit code %d", code)
	case code != 0:
	case got != before && got != root:
		t.Errorf("the name is %s, neither %q nor %s", got, before, root)
	default:
		verify(t, dst, "name")
	}
}

// slowImage writes a layout with an image of two platforms that has sha512
// digests and so many bytes, and returns its root.
func slowImage(t *testing.T, layout string, size int) digest.Digest {
	t.Helper()
	const layers = 8
	s := testimage.Store{Algorithm: digest.SHA512}
	index := s.Index(
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: layers, LayerSize: size / layers / 2}),
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, Layers: layers, LayerSize: size / layers / 2}),
	)
	if err := s.WriteLayout(layout, testimage.Named{Name: "new", Desc: index}); err != nil {
		t.Fatal(err)
	}
	return index.Digest
}

// oldImage adds a small image under the name old to a layout.
func oldImage(t *testing.T, layout string) digest.Digest {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "old")
	var s testimage.Store
	old := s.Index(s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Name: "old"}))
	if err := s.WriteLayout(dir, testimage.Named{Name: "old", Desc: old}); err != nil {
		t.Fatal(err)
	}
	must(t, "copy", "-q", "oci:"+dir+":old", "oci:"+layout+":old")
	return old.Digest
}
