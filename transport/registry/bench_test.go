package registry_test

import (
	"math/rand/v2"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
)

// BenchmarkVerify copies 200 MiB to a registry that does not look at them, from another
// one and from a layout: what differs is who verifies.
func BenchmarkVerify(b *testing.B) {
	var s testimage.Store
	data := make([]byte, 200<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	root := s.Plain(ocispec.Platform{OS: "linux", Architecture: "amd64"}, string(data))
	root.Platform = nil
	from, to := serve(b, shelf(&s, root)), serve(b, shelf(&testimage.Store{}, root))
	remote, err := registry.OpenSource(b.Context(), from.ref(b, "a:1"), registry.Options{Client: newClient(b)})
	if err != nil {
		b.Fatal(err)
	}
	for _, source := range []struct {
		name string
		transport.Source
	}{{"registry", remote}, {"layout", openLayout(b, &s, root)}} {
		for name, verify := range map[string]blob.Verify{"here": blob.VerifyHere, "destination": blob.VerifyAtDestination} {
			b.Run(source.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					dst, err := registry.OpenDestination(b.Context(), to.ref(b, "b:1"), registry.Options{Client: newClient(b), Verify: verify})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := copy.Image(b.Context(), dst, source.Source, plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
