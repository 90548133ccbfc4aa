package contentstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/contentstore"
	"github.com/dhowhq/dhow/store/embedded"
)

func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "dhow-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := embedded.Open(ctx, dir, embedded.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	// What a library of containerd's writes is held by this lease until it is named.
	lease, err := s.Lease(ctx, store.Lease{})
	if err != nil {
		log.Fatal(err)
	}
	cs := contentstore.New(s, contentstore.Options{Lease: lease.ID})
	desc := ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString("ahoy"), Size: 4}
	if err := content.WriteBlob(ctx, cs, "greeting", strings.NewReader("ahoy"), desc); err != nil {
		log.Fatal(err)
	}
	data, err := content.ReadBlob(ctx, cs, desc)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output: ahoy
}
