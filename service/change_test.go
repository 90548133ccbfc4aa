package service_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestContention checks that those who move one name at the same time all get to it, one
// after the other, and that each is told what there was before.
func TestContention(t *testing.T) {
	t.Parallel()
	const writers, rounds = 16, 3
	f := newFixture(t, service.Options{})
	for i := range writers {
		f.put(t, f.image(t, "linux/amd64", fmt.Sprint(i)), fmt.Sprintf("own:%d", i))
	}
	type step struct {
		from, to string
		err      error
	}
	steps := make(chan step, writers*rounds)
	for i := range writers {
		go func() {
			for range rounds {
				done, err := f.Tag(t.Context(), fmt.Sprintf("own:%d", i), "shared:1")
				steps <- step{string(done.Before.Target.Digest), string(done.Target.Digest), err}
			}
		}()
	}
	balance := map[string]int{} // how often each was moved to, less how often from
	for range writers * rounds {
		s := <-steps
		if s.err != nil {
			t.Fatal(s.err)
		}
		if s.from != s.to {
			balance[s.to]++
			balance[s.from]--
		}
	}
	r, err := f.Resolve(t.Context(), "shared:1")
	if err != nil {
		t.Fatal(err)
	}
	balance[""]++
	balance[string(r.Digest)]--
	for d, n := range balance {
		if n != 0 {
			t.Errorf("%q was moved to %d times more than from", d, n)
		}
	}
}

// flickering is a store in which conditions never hold.
type flickering struct{ store.Store }

func (flickering) Move(context.Context, ...store.Move) ([]store.Moved, error) {
	return nil, fmt.Errorf("it points elsewhere: %w", errdefs.ErrFailedPrecondition)
}

// TestNeverQuickEnough checks that a change that others always outrun gives up, and at
// once when its context ends.
func TestNeverQuickEnough(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	f.put(t, f.image(t, "linux/amd64", "x"), "x:1")
	s := service.New(flickering{f.store}, service.Options{})
	if _, err := s.Tag(t.Context(), "x:1", "y:1"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("error %v; want failed precondition", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Remove(ctx, "x:1", service.RemoveOptions{}); err == nil || ctx.Err() == nil || time.Since(began) > time.Second {
		t.Errorf("error %v after %s; want that of the context", err, time.Since(began))
	}
}

// TestReadOnly checks that a store that is open for reading only answers, and that changes
// fail at once.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := embedded.Open(t.Context(), dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{service.New(s, service.Options{}), s, newFixture(t, service.Options{}).src}
	root := f.index(t, "x", "linux/amd64", "linux/arm64")
	f.put(t, root, "x:1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = embedded.Open(t.Context(), dir, embedded.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	readOnly := service.New(s, service.Options{})
	if r, err := readOnly.Resolve(t.Context(), root.Digest.Encoded()[:12]); err != nil || r.Digest != root.Digest {
		t.Errorf("%+v, %v", r, err)
	}
	began := time.Now()
	for what, err := range map[string]error{
		"tag":    second(readOnly.Tag(t.Context(), "x:1", "y:1")),
		"remove": second(readOnly.Remove(t.Context(), "x:1", service.RemoveOptions{})),
		"platform": second(readOnly.Remove(t.Context(), "x:1", service.RemoveOptions{
			Force: true, Platforms: []ocispec.Platform{parsePlatform(t, "linux/amd64")},
		})),
		"prune": second(readOnly.Prune(t.Context(), service.PruneOptions{All: true})),
	} {
		if !errdefs.IsFailedPrecondition(err) || errdefs.IsConflict(err) {
			t.Errorf("%s: error %v; want failed precondition", what, err)
		}
	}
	if long := time.Since(began); long > 2*time.Second {
		t.Errorf("it took %s to fail", long)
	}
}

// second returns the error of a call.
func second[T any](_ T, err error) error { return err }
