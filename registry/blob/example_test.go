package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/transport"
)

// example returns a repository of a registry in this process.
func example() (*blob.Repository, func()) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	base, err := url.Parse(server.URL)
	if err != nil {
		panic(err)
	}
	r, err := blob.New(base, "team/app", blob.Clients{Control: http.DefaultClient}, blob.Options{})
	if err != nil {
		panic(err)
	}
	return r, server.Close
}

// layer is a blob, and what opens it.
func layer() (ocispec.Descriptor, transport.Opener) {
	data := []byte("the bytes of a layer")
	desc := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
	return desc, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	}
}

func ExampleRepository_Push() {
	r, done := example()
	defer done()
	desc, open := layer()
	out, err := r.Push(context.Background(), desc, open, blob.PushOptions{MountFrom: "team/base"})
	fmt.Println(out.Action, err)
	// Output: copied <nil>
}

func ExampleRepository_Open() {
	r, done := example()
	defer done()
	desc, open := layer()
	if _, err := r.Push(context.Background(), desc, open, blob.PushOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	in, err := r.Open(context.Background(), desc, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()
	rest, err := io.ReadAll(in) // whoever reads all of it verifies it
	fmt.Println(string(rest), err)
	// Output: bytes of a layer <nil>
}

func ExampleRepository_FetchTo() {
	r, done := example()
	defer done()
	file, err := os.CreateTemp("", "layer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer file.Close()
	missing := ocispec.Descriptor{Digest: digest.FromString("not there"), Size: 9}
	fmt.Println(r.FetchTo(context.Background(), missing, file, 0) != nil)
	// Output: true
}
