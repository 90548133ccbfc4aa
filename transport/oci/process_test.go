package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// Variables by which a test tells the processes that it starts what to do.
const (
	roleVariable   = "DHOW_TEST_OCI_ROLE"
	layoutVariable = "DHOW_TEST_OCI_LAYOUT"
	prefixVariable = "DHOW_TEST_OCI_PREFIX"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "writer":
		err = writeNames(os.Getenv(layoutVariable), os.Getenv(prefixVariable))
	case "killed":
		err = putForever(os.Getenv(layoutVariable))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// start starts this binary in another role.
func start(t *testing.T, role, layout, prefix string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, layoutVariable+"="+layout, prefixVariable+"="+prefix)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// commitsOfOne is how many names each writer commits, one by one.
const commitsOfOne = 25

// writeNames commits many names, a new destination for each.
func writeNames(layout, prefix string) error {
	ctx := context.Background()
	for i := range commitsOfOne {
		s := &testimage.Store{}
		desc := artifact(s, prefix+strconv.Itoa(i))
		d, err := OpenDestination(ctx, Reference{Path: layout, Name: prefix + strconv.Itoa(i)}, Options{})
		if err != nil {
			return err
		}
		for _, blob := range s.Digests() {
			node := transport.Node{Desc: ocispec.Descriptor{Digest: blob, Size: int64(len(s.Get(blob)))}, Role: image.RoleLayer}
			if _, err := d.Put(ctx, node, s.Opener(node.Desc)); err != nil {
				return errors.Join(err, d.Close())
			}
		}
		_, err = d.Commit(ctx, []transport.Naming{{Desc: desc}})
		if err := errors.Join(err, d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// artifact makes a small manifest with a layer of its own.
func artifact(s *testimage.Store, payload string) ocispec.Descriptor {
	return s.Referrer(s.Put("text/plain", []byte("subject")), "application/x.test", payload)
}

func TestTwoProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	var others []*exec.Cmd
	for _, prefix := range []string{"a", "b"} {
		cmd, _ := start(t, "writer", dir, prefix)
		others = append(others, cmd)
	}
	var wg sync.WaitGroup
	for _, prefix := range []string{"c", "d"} { // and two goroutines in this one
		wg.Go(func() {
			if err := writeNames(dir, prefix); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, cmd := range others {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	src := openSource(t, dir, Options{})
	for _, prefix := range []string{"a", "b", "c", "d"} {
		for i := range commitsOfOne {
			name := prefix + strconv.Itoa(i)
			desc, err := src.Resolve(t.Context(), name)
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := src.blobs.document(desc, src.opts.Limits); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if found := tree(t, filepath.Join(dir, ".dhow-ingest")); len(found) > 0 {
		t.Errorf("left behind: %q", found)
	}
}

// putForever puts a layer that has no end, and says so.
func putForever(layout string) error {
	d, err := OpenDestination(context.Background(), Reference{Path: layout}, Options{})
	if err != nil {
		return err
	}
	s := &testimage.Store{}
	small := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("held back"))
	if _, err := d.Put(context.Background(), transport.Node{Desc: small, Role: image.RoleLayer}, s.Opener(small)); err != nil {
		return err
	}
	endless := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("some other bytes"))
	endless.Size = 1 << 40
	_, err = d.Put(context.Background(), transport.Node{Desc: endless, Role: image.RoleLayer}, func(context.Context, int64) (io.ReadCloser, error) {
		fmt.Println("writing")
		in, out := io.Pipe()
		go func() {
			for {
				_, _ = out.Write(make([]byte, 1<<20))
			}
		}()
		return in, nil
	})
	return err
}

func TestKilledProcessLeavesNothingToSee(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "layout")
	cmd, out := start(t, "killed", dir, "")
	said := make([]byte, len("writing"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "writing" {
		t.Fatalf("it said %q: %v", said, err)
	}
	alive := tree(t, filepath.Join(dir, ".dhow-ingest"))
	if len(alive) < 4 { // a directory with the lock and two new files
		t.Errorf("new files: %q", alive)
	}

	// A destination that comes meanwhile leaves them alone.
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	write := func(name string) {
		d := openDestination(t, dir+":"+name)
		put(t, d, s, im)
		transporttest.Commit(t, d, transport.Naming{Desc: im})
		transporttest.Close(t, d)
	}
	write("first")
	if len(tree(t, filepath.Join(dir, ".dhow-ingest"))) < 4 {
		t.Error("the files of a living process were removed")
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for _, path := range tree(t, filepath.Join(dir, ocispec.ImageBlobsDir)) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && s.Get(digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(path))) == nil {
			t.Errorf("%s is to be seen, and nobody finished it", path)
		}
	}
	write("second")
	for _, path := range tree(t, dir) {
		if strings.Contains(path, ".dhow") {
			t.Errorf("%s is still there", path)
		}
	}
}
