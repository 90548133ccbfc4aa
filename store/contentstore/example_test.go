package contentstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/contentstore"
	"github.com/dhowhq/dhow/store/embedded"
)

// exampleStore opens a store that is removed by what it returns.
func exampleStore(ctx context.Context) (s store.Store, remove func()) {
	dir, err := os.MkdirTemp("", "dhow-example-")
	if err != nil {
		log.Fatal(err)
	}
	s, err = embedded.Open(ctx, filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleNew() {
	ctx := context.Background()
	s, remove := exampleStore(ctx)
	defer remove()

	// What a library of containerd's writes is held by this lease until it is named.
	lease, err := s.Lease(ctx, store.Lease{})
	if err != nil {
		log.Panic(err)
	}
	cs := contentstore.New(s, contentstore.Options{Lease: lease.ID})
	desc := ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString("ahoy"), Size: 4}
	if err := content.WriteBlob(ctx, cs, "greeting", strings.NewReader("ahoy"), desc); err != nil {
		log.Panic(err)
	}
	data, err := content.ReadBlob(ctx, cs, desc)
	if err != nil {
		log.Panic(err)
	}
	fmt.Printf("%s\n", data)
	// Output: ahoy
}
