package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

const busybox = "docker.io/library/busybox:1"

// exampleStore opens a store with an image that is called busybox:1. The last result removes
// its directory.
func exampleStore(ctx context.Context) (s *embedded.Store, root ocispec.Descriptor, dir string, remove func()) {
	above, err := os.MkdirTemp("", "dhow-example-")
	if err != nil {
		log.Panic(err)
	}
	dir = filepath.Join(above, "store")
	if s, err = embedded.Open(ctx, dir, embedded.Options{}); err != nil {
		log.Panic(err)
	}
	src := &testimage.Store{}
	root = src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, LayerSize: 100 << 10})
	if err := keep(ctx, s, src, root, busybox); err != nil {
		log.Panic(err)
	}
	return s, root, dir, func() {
		if err := os.RemoveAll(above); err != nil {
			log.Panic(err)
		}
	}
}

// keep writes an image and gives it a name: all of it at once, or nothing.
func keep(ctx context.Context, s store.Store, src *testimage.Store, root ocispec.Descriptor, name string) (err error) {
	lease, err := s.Lease(ctx, store.Lease{Process: true}) // what is written stays until it has a name
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Release(ctx, lease.ID)) }()
	batch, err := s.Begin(ctx, lease.ID)
	if err != nil {
		return err
	}
	defer batch.Close()
	graph, err := image.Walker{Fetch: src.Fetch}.Walk(ctx, root)
	if err != nil {
		return err
	}
	for _, n := range graph.Nodes() {
		if _, err := batch.Put(ctx, n.Desc, n.Role, src.Opener(n.Desc)); err != nil {
			return err
		}
	}
	_, err = batch.Publish(ctx, store.Move{Name: name, To: target(root)})
	return err
}

func ExampleOpen() {
	ctx := context.Background()
	s, root, _, remove := exampleStore(ctx)
	defer remove()
	defer s.Close()
	err := s.View(ctx, func(names store.NameReader) error {
		rec, err := names.Get(busybox)
		if err != nil {
			return err
		}
		facts, err := names.Facts(rec.Target.Digest) // no blob is read
		if err != nil {
			return err
		}
		fmt.Println(rec.Target.Digest == root.Digest, facts.Platform.Architecture)
		found, err := names.Prefix(facts.Config.Encoded()[:12], 2)
		fmt.Println(len(found), found[0] == facts.Config)
		return err
	})
	if err != nil {
		log.Panic(err)
	}
	// Output:
	// true arm64
	// 1 true
}

func ExampleStore_Move() {
	ctx := context.Background()
	s, root, _, remove := exampleStore(ctx)
	defer remove()
	defer s.Close()
	const stable = "docker.io/library/busybox:stable"
	_, err := s.Move(ctx, store.Move{Name: stable, To: target(root), If: store.Condition{Absent: true}})
	fmt.Println("first:", err)
	_, err = s.Move(ctx, store.Move{Name: stable, To: target(root), If: store.Condition{Absent: true}})
	fmt.Println("once more:", errdefs.IsFailedPrecondition(err))
	moved, err := s.Move(ctx, store.Move{Name: stable}, store.Move{Name: busybox}) // to nothing
	if err != nil {
		log.Panic(err)
	}
	fmt.Println("dangling:", moved[0].Dangling, moved[1].Dangling)
	// Output:
	// first: <nil>
	// once more: true
	// dangling: true true
}

func ExampleStore_Collect() {
	ctx := context.Background()
	s, _, _, remove := exampleStore(ctx)
	defer remove()
	defer s.Close()
	if _, err := s.Move(ctx, store.Move{Name: busybox, Forget: true}); err != nil {
		log.Panic(err)
	}
	collected, err := store.Collect(ctx, s) // in steps: each lets writers through
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(collected.Blobs, "blobs")
	// Output: 3 blobs
}

func ExampleStore_Check() {
	ctx := context.Background()
	s, _, dir, remove := exampleStore(ctx)
	defer remove()
	if err := s.Close(); err != nil {
		log.Panic(err)
	}
	if err := os.Remove(filepath.Join(dir, "catalog.db")); err != nil {
		log.Panic(err)
	}

	s, err := embedded.Open(ctx, dir, embedded.Options{}) // for reading only
	if err != nil {
		log.Panic(err)
	}
	defer s.Close()
	fmt.Println("degraded:", s.Degraded() != nil)
	report, err := s.Check(ctx, embedded.CheckOptions{Repair: true})
	if err != nil {
		log.Panic(err)
	}
	for _, f := range report.Findings {
		fmt.Println(f.Problem, f.Remedy, f.Repaired)
	}
	fmt.Println("degraded:", s.Degraded() != nil)
	// Output:
	// degraded: true
	// database repair true
	// degraded: false
}
