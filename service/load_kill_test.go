package service_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// killedEnv has the directory in which this program, in another process, loads an archive.
const killedEnv = "DHOW_TEST_SERVICE_LOAD"

// TestLoadElsewhere is what is killed by TestLoadKilled.
func TestLoadElsewhere(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("it is for another process")
	}
	s, err := embedded.Open(t.Context(), filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	archive, err := os.Open(filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	fmt.Println("ready")
	if _, err := service.New(s, service.Options{}).Load(t.Context(), archive, service.LoadOptions{Replace: true}); err != nil {
		t.Error(err)
	}
	fmt.Println("loaded")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// loadAndKill loads the archive in a directory by another process, which it kills so long
// after it has begun, and returns how long the load took, if it ended.
func loadAndKill(t *testing.T, dir string, after time.Duration) time.Duration {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLoadElsewhere$", "-test.v")
	cmd.Env = append(os.Environ(), killedEnv+"="+dir)
	pr, pw := io.Pipe()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = pw, pw
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began, took := time.Time{}, time.Duration(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := pr.Read(buf)
			out.Write(buf[:n])
			switch said := out.String(); {
			case strings.Contains(said, "loaded\n") && took == 0:
				took = time.Since(began)
			case strings.Contains(said, "ready\n") && began.IsZero():
				began = time.Now()
				if after > 0 {
					time.AfterFunc(after, kill)
				}
			}
			if err != nil {
				return
			}
		}
	}()
	err := cmd.Wait()
	_ = pw.Close() // never fails
	<-done
	if began.IsZero() || err != nil && ctx.Err() == nil {
		t.Fatalf("loading in another process: %v\n%s", err, out.String())
	}
	return took
}

// TestLoadKilled kills loads at random moments: the names are then those of before, or all
// of them have moved to what is there as a whole, and the next load gets to the end.
func TestLoadKilled(t *testing.T) {
	t.Parallel()
	points := 2
	if os.Getenv("DHOW_TEST_LONG") != "" {
		points = 50
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	from := newFixture(t, service.Options{})
	list := from.src.Index(
		from.src.Image(testimage.Image{Platform: parsePlatform(t, "linux/amd64"), Layers: 2, LayerSize: 1 << 19}),
		from.src.Image(testimage.Image{Platform: parsePlatform(t, "linux/arm64"), Layers: 2, LayerSize: 1 << 19}),
	)
	from.put(t, list, "app:1", "app:2")
	data, _ := from.save(t, service.SaveOptions{}, "app")
	const one, two = "docker.io/library/app:1", "docker.io/library/app:2"

	var longest time.Duration
	for i := range points + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "archive"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		here := prepareKilled(t, dir)
		after := time.Duration(0)
		if i > 0 {
			after = 1 + time.Duration(rnd.Int64N(int64(longest)))
		}
		took := loadAndKill(t, dir, after)
		if i == 0 {
			longest = took
		}
		f := openKilled(t, dir, from)
		before := map[string]digest.Digest{one: here}
		loaded := map[string]digest.Digest{one: list.Digest, two: list.Digest, "@" + string(here): here}
		got := f.targets(t)
		if _, err := store.Collect(t.Context(), f.store); err != nil {
			t.Fatal(err)
		}
		switch {
		case cmp.Equal(got, before):
			if i == 0 {
				t.Error("nothing was loaded")
			}
			f.wantNoLease(t)
			if n := f.blobs(t); n != 3 {
				t.Errorf("killed after %s: %d blobs are left, there were 3", after, n)
			}
		case cmp.Equal(got, loaded):
			f.wantAll(t, from.src, list)
		default:
			t.Errorf("killed after %s: %s", after, cmp.Diff(before, got))
		}
		if _, err := f.Load(t.Context(), bytes.NewReader(data), service.LoadOptions{Replace: true}); err != nil {
			t.Errorf("killed after %s: the next load: %v", after, err)
		}
		f.wantAll(t, from.src, list)
		if partial, err := f.store.Partial(t.Context()); err != nil || len(partial) > 0 {
			t.Errorf("killed after %s: partial blobs are left: %+v, %v", after, partial, err)
		}
		if diff := cmp.Diff(loaded, f.targets(t)); diff != "" {
			t.Error("records (-want +got):\n", diff)
		}
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// prepareKilled makes a store in which app:1 is an image, whose digest it returns.
func prepareKilled(t *testing.T, dir string) digest.Digest {
	t.Helper()
	f := openKilled(t, dir, nil)
	here := f.image(t, "linux/amd64", "here")
	f.put(t, here, "app:1")
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	return here.Digest
}

func openKilled(t *testing.T, dir string, from *fixture) *fixture {
	t.Helper()
	s, err := embedded.Open(t.Context(), filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := &testimage.Store{}
	if from != nil {
		src = from.src
	}
	return &fixture{service.New(s, service.Options{}), s, src}
}
