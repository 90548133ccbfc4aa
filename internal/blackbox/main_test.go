package blackbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/oci"
)

// dhow is the binary under test; TestMain builds it.
var dhow string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dhow-blackbox-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	dhow = filepath.Join(dir, "dhow")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", dhow, "github.com/dhowhq/dhow/cmd/dhow")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building dhow: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// long skips a test that takes long, unless such tests are asked for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("DHOW_TEST_LONG") == "" {
		t.Skip("long: run with DHOW_TEST_LONG=1 (make test-long)")
	}
}

// run runs the binary to its end and returns its standard output and exit code.
func run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), dhow, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err != nil {
		t.Logf("dhow %q: %s", args, errs.Bytes())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// must runs the binary and fails the test unless it succeeds.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := run(t, args...)
	if code != 0 {
		t.Fatalf("dhow %q: exit code %d", args, code)
	}
	return out
}

// verify reads every byte of the image that a layout's reference names and
// returns its root.
func verify(t *testing.T, layout, name string) ocispec.Descriptor {
	t.Helper()
	src, err := oci.OpenSource(t.Context(), parse(t, layout+":"+name), oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	root, err := src.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(ctx context.Context, d ocispec.Descriptor) ([]byte, error) { return read(ctx, src, d) }
	graph, err := image.Walker{Fetch: fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range graph.Nodes() {
		if err := hash(t.Context(), src, n.Desc); err != nil {
			t.Errorf("%s %s: %v", n.Role, n.Desc.Digest, err)
		}
	}
	return root
}

func parse(t *testing.T, details string) oci.Reference {
	t.Helper()
	ref, err := oci.Parse(details)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// read returns a small blob.
func read(ctx context.Context, src transport.Source, d ocispec.Descriptor) ([]byte, error) {
	r, err := src.Open(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var buf bytes.Buffer
	_, err = buf.ReadFrom(r)
	return buf.Bytes(), err
}

// hash reads a blob and compares it with its descriptor.
func hash(ctx context.Context, src transport.Source, d ocispec.Descriptor) error {
	r, err := src.Open(ctx, d, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	v := d.Digest.Verifier()
	n, err := io.Copy(v, r)
	if err == nil && (n != d.Size || !v.Verified()) {
		err = fmt.Errorf("%d bytes do not match the descriptor of %d", n, d.Size)
	}
	return err
}
