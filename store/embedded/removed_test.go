package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

type removeInput struct {
	Dir, How string
}

func theLayer() (*testimage.Store, ocispec.Descriptor, string) {
	src := &testimage.Store{}
	layer := src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("x"), 100<<10))
	return src, layer, filepath.Join("blobs/sha256", layer.Digest.Encoded()[:2], layer.Digest.Encoded())
}

// removeElsewhere has a file go, and closes the store properly.
func removeElsewhere(input []byte) error {
	var in removeInput
	if err := json.Unmarshal(input, &in); err != nil {
		return err
	}
	_, _, name := theLayer()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	calls := 0
	clock := func() time.Time {
		if calls++; in.How == "collection" && calls == 2 { // in its transaction
			cancel()
		}
		return time.Now()
	}
	s, err := embedded.Open(ctx, in.Dir, embedded.Options{Clock: clock})
	if err != nil {
		return err
	}
	switch in.How {
	case "collection": // of what lease "old" holds, and the user gives up
		if _, err := s.Collect(ctx); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Collect: %w", err)
		}
	case "batch": // it gives up when the file is placed
		late := lateContext{ctx, func() bool { _, err := os.Stat(filepath.Join(in.Dir, name)); return err == nil }}
		if err := giveUp(late, s); err != nil {
			return err
		}
	}
	return s.Close()
}

// giveUp publishes a blob with a context that ends before it is visible.
func giveUp(ends context.Context, s *embedded.Store) error {
	src, layer, _ := theLayer()
	ctx := context.WithoutCancel(ends)
	l, err := s.Lease(ctx, store.Lease{})
	if err != nil {
		return err
	}
	b, err := s.Begin(ctx, l.ID)
	if err != nil {
		return err
	}
	_, err = b.Put(ctx, layer, image.RoleLayer, func(ctx context.Context, from int64) (io.ReadCloser, error) { return src.Open(ctx, layer, from) })
	if err != nil {
		return err
	}
	if _, err := b.Publish(ends); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("Publish: %w", err)
	}
	return b.Close()
}

// TestRemovedForGood: what was removed does not come back, and stay, when the power is lost
// after the store was closed.
func TestRemovedForGood(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	for _, how := range []string{"batch", "collection"} {
		dir := filepath.Join(t.TempDir(), "store")
		src, layer, name := theLayer()
		file := filepath.Join(dir, name)
		s := openStore(t, dir, embedded.Options{})
		if how == "collection" {
			b, lease := newBatch(t, s)
			(&source{Store: src}).put(t, b, layer, image.RoleLayer)
			if _, err := b.Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			closeStore(t, b)
			if err := s.Release(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Lease(t.Context(), store.Lease{ID: "has a time", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		closeStore(t, s)

		cmd := elsewhere(t, "remove", removeInput{dir, how})
		trace := filepath.Join(t.TempDir(), "trace")
		cmd.Path, cmd.Args = strace, append([]string{strace, "-f", "-y", "-qq", "-o", trace, "-e", "trace=renameat,fsync,fdatasync"}, cmd.Args...)
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Fatal("the file was not removed:", err)
		}
		data, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		renamed := regexp.MustCompile(`renameat\([^\n]*/trash`).FindAllStringIndex(text, -1)
		if len(renamed) != 1 {
			t.Fatalf("%s: %d renames into trash/", how, len(renamed))
		}
		rest := text[renamed[0][1]:]
		clean := strings.LastIndex(rest, "catalog.db>")
		if synced := regexp.MustCompile(`fsync\(\d+<` + regexp.QuoteMeta(filepath.Dir(file)) + `>`).FindStringIndex(rest); len(synced) == 0 || synced[0] > clean {
			t.Errorf("%s: the directory is not synced before the database says that the store is clean:\n%s", how, text)
		} else {
			continue
		}

		// So the power loss may bring it back.
		if err := os.WriteFile(file, src.Get(layer.Digest), 0o600); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, embedded.Options{})
		for range 2 {
			if _, err := store.Collect(t.Context(), s); err != nil {
				t.Error("Collect:", err)
			}
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: collections leave the file: %v", how, err)
		}
		wantSound(t, s)
		closeStore(t, s)
	}
}
