package durable

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFlushWaitsForOneThatWasCancelled(t *testing.T) {
	t.Parallel()
	w, _ := newWriter(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	w.syncDir = func(root *os.Root, name string) error {
		if name == "d" {
			close(began)
			<-goOn
		}
		return syncDir(root, name)
	}
	data := []byte("data")
	if err := w.Put(t.Context(), fileOf("d/file", data), reads(data)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- w.Flush(ctx) }()
	<-began
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatalf("Flush: %v; want it cancelled", err)
	}

	second := make(chan error, 1)
	go func() { second <- w.Flush(t.Context()) }()
	select {
	case err := <-second:
		t.Errorf("Flush returned %v while a directory was being synced", err)
		close(goOn)
	case <-time.After(50 * time.Millisecond):
		close(goOn)
		if err := <-second; err != nil {
			t.Errorf("Flush: %v", err)
		}
	}
}

func TestFlushOfAnAdoptedFileSyncsAllAboveIt(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var synced []string
	w.syncDir = func(_ *os.Root, name string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		synced = append(synced, name)
		return nil
	}
	w.Adopt("a/b/file")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(synced)
	if diff := cmp.Diff([]string{".", "a", "a/b"}, synced); diff != "" {
		t.Errorf("directories synced (-want +got):\n%s", diff)
	}
}
