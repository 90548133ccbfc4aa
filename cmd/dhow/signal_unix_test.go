//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/testimage"
)

// A signal ends a command that waits for standard input, or for the other end of a pipe.
func TestSignalWhileWaiting(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"digest -",
		"load -i pipe",
		"import pipe x",
		"copy --receipt pipe oci:layout:single oci:out:x",
		"save -o pipe app:1",
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(args+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				signalWhileWaiting(t, sig, strings.Fields(args)...)
			})
		}
	}
}

func signalWhileWaiting(t *testing.T, sig syscall.Signal, args ...string) {
	t.Helper()
	w := newWorld(t)
	if err := unix.Mkfifo(filepath.Join(w.dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := w.command(t, append([]string{"--root", "store"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // until the handler is there
	start := time.Now()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() }) // it is not to be waited for
	_ = cmd.Wait()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it went on for %s", took)
	}
	if want := "dhow: stopped: " + sig.String() + " signal received\n"; cmd.ProcessState.ExitCode() != 1 || stderr.String() != want {
		t.Errorf("%v: exit code %d, standard error %q", sig, cmd.ProcessState.ExitCode(), stderr.String())
	}
}

// A signal in the middle of a layer ends a copy soon and leaves no name.
func TestSignalWhileCopying(t *testing.T) {
	t.Parallel()
	w := &world{dir: t.TempDir()}
	name := bigLayout(t, w.dir)
	cmd := w.command(t, "copy", "--progress", "json", "oci:layout:x", "oci:out:x")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !(strings.Contains(lines.Text(), name) && strings.Contains(lines.Text(), `"started"`)) {
	}
	start := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	_ = cmd.Wait()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the copy went on for %s", took)
	}
	if cmd.ProcessState.ExitCode() != 1 || last != "dhow: stopped: interrupt signal received" {
		t.Errorf("exit code %d, last line %q", cmd.ProcessState.ExitCode(), last)
	}
	if left, err := filepath.Glob(filepath.Join(w.dir, "out", ".dhow-ingest*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
	if r := w.run(t, "inspect", "oci:out:x"); r.code == 0 || r.stdout != "" {
		t.Errorf("inspect after the signal: %+v", r)
	}
}

// bigLayout writes a layout with an image of one layer of 256 MiB, which is a hole
// on the disk, and returns the layer's digest.
func bigLayout(t *testing.T, dir string) string {
	t.Helper()
	const size = 256 << 20
	layout := filepath.Join(dir, "layout")
	digester := digest.SHA256.Digester()
	if _, err := io.CopyN(digester.Hash(), zeros{}, size); err != nil {
		t.Fatal(err)
	}
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digester.Digest(), Size: size}
	var s testimage.Store
	desc := s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": s.Put(ocispec.MediaTypeImageConfig, []byte("{}")), "layers": []ocispec.Descriptor{layer},
	})
	if err := s.WriteLayout(layout, testimage.Named{Name: "x", Desc: desc}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(layout, "blobs/sha256", layer.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return layer.Digest.String()
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
