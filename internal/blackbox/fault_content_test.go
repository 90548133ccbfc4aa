package blackbox_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
)

// codeDamaged is the exit code for content that is not what it should be.
const codeDamaged = 3

// TestDamagedSource copies from a registry that sends damaged layers. Nothing is named,
// and nothing of them is left behind.
func TestDamagedSource(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, 2, 2<<20)
	damage := fault.Fault{Damage: true, Of: f.isLarge}
	t.Run("to a layout", func(t *testing.T) {
		t.Parallel()
		p, source, _ := f.proxied(t, atSource, damage)
		dir := filepath.Join(t.TempDir(), "layout")
		_, code := run(t, "copy", "-q", "--src-tls-verify=false", "docker://"+source+"/"+sourceName, "oci:"+dir+":x")
		if code != codeDamaged || p.Counts().Faults == 0 {
			t.Errorf("exit code %d, want %d", code, codeDamaged)
		}
		if _, code := run(t, "inspect", "oci:"+dir+":x"); code == 0 {
			t.Error("the layout has the name")
		}
		noLeftovers(t, dir)
		for d := range f.large {
			wantNone(t, filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()))
		}
	})
	for _, verify := range []string{"here", "destination"} {
		t.Run("to a registry, verified "+verify, func(t *testing.T) {
			t.Parallel()
			f.damagedToRegistry(t, damage, verify)
		})
	}
}

func (f *faulty) damagedToRegistry(t *testing.T, damage fault.Fault, verify string) {
	t.Helper()
	p, source, destination := f.proxied(t, atSource, damage)
	repository := f.repository()
	// One at a time: what others had under way when one is found damaged, a registry
	// forgets by itself.
	args := append(copyTo(source, destination, repository), "--parallel", "1", "--verify", verify)
	if _, code := run(t, args...); code != codeDamaged || p.Counts().Faults == 0 {
		t.Errorf("exit code %d, want %d", code, codeDamaged)
	}
	if _, code := run(t, "inspect", "--tls-verify=false", "docker://"+destination+"/"+repository+":1"); code == 0 {
		t.Error("the registry has the tag")
	}
	files := filepath.Join(f.destination.Storage, "docker/registry/v2")
	kept := filepath.Join(files, "repositories", repository)
	if _, err := os.Stat(kept); err != nil {
		t.Error("nothing arrived, or this is not where it is kept:", err)
	}
	wantNone(t, filepath.Join(kept, "_manifests", "tags", "*"))
	wantNone(t, filepath.Join(kept, "_uploads", "*", "data")) // the registry itself leaves more than that
	for d := range f.large {
		wantNone(t, filepath.Join(kept, "_layers", d.Algorithm().String(), d.Encoded()))
		wantNone(t, filepath.Join(files, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded()))
	}
}

// wantNone demands that no file has a name.
func wantNone(t *testing.T, pattern string) {
	t.Helper()
	if there, err := filepath.Glob(pattern); err != nil || len(there) > 0 {
		t.Errorf("left behind: %q, %v", there, err)
	}
}

// TestStalledSource copies from a registry whose answers stop in the middle of layers.
// The copy goes on with another answer when that was too slow for the window of a
// minute, and gives up when that does not help.
func TestStalledSource(t *testing.T) {
	long(t)
	t.Parallel()
	f := newFaulty(t, 3, 64<<20)
	for name, row := range map[string]struct {
		fault  fault.Fault
		code   int
		within time.Duration
	}{
		"each layer once": {fault.Fault{StallAnswer: 1 << 20, Stalls: 4, Of: f.isLarge}, 0, 90 * time.Second},
		"for good":        {fault.Fault{StallAnswer: 1, Of: f.isLarge}, 1, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, source, destination := f.proxied(t, atSource, row.fault)
			repository := f.repository()
			ctx, cancel := context.WithTimeout(t.Context(), row.within)
			defer cancel()
			began := time.Now()
			cmd := exec.CommandContext(ctx, dhow, copyTo(source, destination, repository)...)
			said, _ := cmd.CombinedOutput()
			took := time.Since(began)
			t.Logf("| source stalls in the middle of a blob, %s | exit code %d | %.1f s | %d stalls | %s", name, cmd.ProcessState.ExitCode(), took.Seconds(), p.Counts().Faults, said)
			if code := cmd.ProcessState.ExitCode(); code != row.code {
				t.Fatalf("exit code %d, want %d", code, row.code)
			}
			if row.code == 0 {
				f.check(t, repository)
			} else if !strings.Contains(string(said), "stalled") {
				t.Error("the error does not say that it stalled")
			}
		})
	}
}
