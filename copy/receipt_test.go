package copy_test

import (
	"context"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/transport"
)

// elsewhere is a place that has a server verify all that is put.
type elsewhere struct{ *place }

func (e elsewhere) Put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	out, err := e.place.Put(ctx, n, open)
	out.Verifier = transport.VerifiedAtDestination
	return out, err
}

// TestReceiptSaysWhoVerified shows that what the copy has read or made itself counts as
// verified by it, whatever the destination says.
func TestReceiptSaysWhoVerified(t *testing.T) {
	t.Parallel()
	src := newSample()
	embedded := ocispec.DescriptorEmptyJSON
	src.root = src.Index(src.amd64, src.arm64, src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: embedded, Layers: []ocispec.Descriptor{src.Store.Put("text/plain", []byte("layer"))},
	}))
	rec := mustCopy(t, elsewhere{&place{}}, src, copy.Options{})
	var sum int64
	streamed := map[string]int{}
	for _, e := range rec.Entries {
		want := transport.VerifiedHere
		if (e.Role == "layer" || e.Role == "config") && e.Digest != embedded.Digest {
			want = transport.VerifiedAtDestination
			streamed[e.Role]++
			sum += e.Size
		}
		if e.Verifier != want {
			t.Errorf("%s %s was verified by %q, want %q", e.Role, e.Digest, e.Verifier, want)
		}
	}
	if streamed["config"] != 2 || rec.Totals.BytesVerifiedAtDestination != sum {
		t.Errorf("%v are streamed, totals %+v; want %d bytes verified at the destination", streamed, rec.Totals, sum)
	}
}
