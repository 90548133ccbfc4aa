package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	binary string // the program under test; TestMain builds it
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dhow-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "dhow")
	build := exec.CommandContext(context.Background(), "go", "build", "-ldflags=-X main.version=v1.2.3-test", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building dhow: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// world is a directory with a layout of images, in which the program runs.
type world struct {
	dir    string
	store  *testimage.Store
	images map[string]ocispec.Descriptor // by name in the layout
}

// The digests of blobs that a world is told to lack or to damage.
const (
	// damaged is the content of the layer of "damaged" that does not match its digest.
	damaged = "damaged"
	// big is the number of bytes of the layer of "big".
	big = 3 << 20
)

func linux(arch, variant string) ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}
}

// newWorld writes a layout "layout" with an image of each kind.
func newWorld(t *testing.T) *world {
	t.Helper()
	s := &testimage.Store{}
	amd64 := s.Plain(linux("amd64", ""), "base", "amd64")
	arm64 := s.Plain(linux("arm64", "v8"), "base", "arm64")
	arm := s.Plain(linux("arm", "v7"), "base", "arm")
	windows := s.Plain(ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"}, "windows")
	latest := s.Index(amd64, arm64, arm, windows, s.Attestation(amd64), s.Attestation(arm64))
	gone := s.Plain(linux("s390x", ""), "gone")
	tag, signature := s.CosignTag(amd64, "sig")
	broken := s.Plain(linux("amd64", ""), damaged)
	w := &world{dir: t.TempDir(), store: s, images: map[string]ocispec.Descriptor{
		"latest":   latest,
		"single":   amd64,
		"artifact": s.Referrer(gone, "application/vnd.example.artifact", "payload"),
		"sparse":   s.Index(amd64, gone),
		"damaged":  broken,
		"big":      s.Plain(linux("amd64", ""), strings.Repeat("big", big/3)),
		"":         s.Referrer(latest, "application/spdx+json", "sbom"),
		tag:        signature,
	}}
	s.Delete(gone.Digest)
	for _, d := range s.Digests() {
		if bytes.Contains(s.Get(d), []byte(damaged+"\x00")) {
			s.Set(d, bytes.ToUpper(s.Get(d)))
		}
	}
	names := []testimage.Named{{Name: "twice", Desc: amd64}, {Name: "twice", Desc: arm64}}
	for _, name := range []string{"latest", "single", "artifact", "sparse", "damaged", "big", "", tag} {
		desc := w.images[name]
		desc.Platform, desc.Annotations = nil, nil
		names = append(names, testimage.Named{Name: name, Desc: desc})
	}
	if err := s.WriteLayout(filepath.Join(w.dir, "layout"), names...); err != nil {
		t.Fatal(err)
	}
	return w
}

// result is what a run of the program did.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program in the world.
func (w *world) run(t *testing.T, args ...string) result {
	t.Helper()
	return w.runWith(t, "", args...)
}

// command returns the program in the world, to be run.
func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = w.dir
	return cmd
}

// runWith is run with a standard input.
func (w *world) runWith(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := w.command(t, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// must runs the program, which must succeed, and returns its standard output.
func (w *world) must(t *testing.T, args ...string) string {
	t.Helper()
	r := w.run(t, args...)
	if r.code != 0 {
		t.Fatalf("dhow %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// root returns the digest that a reference means.
func (w *world) root(t *testing.T, ref string) digest.Digest {
	t.Helper()
	return digest.Digest(strings.TrimSpace(w.must(t, "inspect", "--format", "{{.Digest}}", ref)))
}

// read returns a file of the world.
func (w *world) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs: %s", file, diff)
	}
}
