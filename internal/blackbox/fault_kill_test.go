package blackbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
)

// halves divides the large layers into those that come and those that get stuck.
func (f *faulty) halves() (come, stuck map[digest.Digest]int64) {
	come, stuck = map[digest.Digest]int64{}, map[digest.Digest]int64{}
	for d, size := range f.large {
		if len(come) < len(f.large)/2 {
			come[d] = size
		} else {
			stuck[d] = size
		}
	}
	return come, stuck
}

// killWhen starts a copy and kills it when a condition holds.
func killWhen(t *testing.T, args []string, what string, holds func() bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), dhow, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for !holds() && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if !holds() {
		t.Errorf("waited in vain: %s", what)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error("it has ended by itself:", err)
	}
	_ = cmd.Wait() // it was killed
}

// all reports whether each blob is there.
func all(blobs map[digest.Digest]int64, there func(d digest.Digest) bool) bool {
	for d := range blobs {
		if !there(d) {
			return false
		}
	}
	return true
}

// wantOnly demands that none of the blobs moved that were there, and of the rest no
// more than there is.
func wantOnly(t *testing.T, what string, moved map[digest.Digest]int64, total, size int64, there map[digest.Digest]int64) {
	t.Helper()
	for d := range there {
		if moved[d] > 0 {
			t.Errorf("%s: %d bytes of %s moved again", what, moved[d], d)
			total -= moved[d]
		}
		size -= there[d]
	}
	t.Logf("| killed, and repeated: %s | %.1f MB moved, %.1f MB were missing |", what, float64(total)/1e6, float64(size)/1e6)
	if total > size {
		t.Errorf("%s: %d bytes moved, and %d were missing", what, total, size)
	}
}

// TestKilledCopyOfRegistry kills copies of which some layers are there and others are
// stuck. Repeated, they move what was missing and nothing else.
func TestKilledCopyOfRegistry(t *testing.T) {
	t.Parallel()
	size := 3 << 20 // the smallest are more than what a layout keeps for later
	if os.Getenv("DHOW_TEST_LONG") != "" {
		size = 64 << 20
	}
	f := newFaulty(t, 3, size)
	come, stuck := f.halves()
	hold := fault.Fault{StallAnswer: 100_000, Of: func(d digest.Digest) bool { return stuck[d] > 0 }}
	t.Run("to a layout", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "layout")
		args := func(source string) []string {
			return []string{"copy", "-q", "--src-tls-verify=false", "docker://" + source + "/" + sourceName, "oci:" + dir + ":x"}
		}
		_, source, _ := f.proxied(t, atSource, hold)
		killWhen(t, args(source), "the layout has half of the layers", func() bool {
			return all(come, func(d digest.Digest) bool {
				_, err := os.Stat(filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()))
				return err == nil
			})
		})
		p, source, _ := f.proxied(t, atSource, fault.Fault{})
		must(t, args(source)...)
		counts := p.Counts()
		wantOnly(t, "registry to layout", counts.Answers, counts.Received(), f.bytes, come)
		if got := verify(t, dir, "x"); got.Digest != f.root.Digest {
			t.Errorf("the root is %s, want %s", got.Digest, f.root.Digest)
		}
		noLeftovers(t, dir)
	})
	t.Run("to a registry", func(t *testing.T) {
		t.Parallel()
		repository := f.repository()
		layers := filepath.Join(f.destination.Storage, "docker/registry/v2/repositories", repository, "_layers")
		_, source, destination := f.proxied(t, atSource, hold)
		killWhen(t, copyTo(source, destination, repository), "the registry has half of the layers", func() bool {
			return all(come, func(d digest.Digest) bool { // the registry makes the file before it writes it
				link, err := os.ReadFile(filepath.Join(layers, d.Algorithm().String(), d.Encoded(), "link"))
				return err == nil && string(link) == d.String()
			})
		})
		read := fault.New(fault.To(f.source.Host), fault.Fault{})
		written := fault.New(fault.To(f.destination.Host), fault.Fault{})
		must(t, copyTo(read.Start(t), written.Start(t), repository)...)
		from, to := read.Counts(), written.Counts()
		wantOnly(t, "registry to registry, read", from.Answers, from.Received(), f.bytes, come)
		wantOnly(t, "registry to registry, written", to.Contents, to.Sent(), f.bytes, come)
		f.check(t, repository)
	})
}
