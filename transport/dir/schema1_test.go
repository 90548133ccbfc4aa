package dir

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// signedSchema1 returns a signed schema 1 manifest of the given layers, the base
// last, and what its signature signs.
func signedSchema1(layers ...digest.Digest) (signed, payload []byte) {
	var sums, history []string
	for i, d := range layers {
		sums = append(sums, fmt.Sprintf(`{"blobSum":%q}`, d))
		history = append(history, fmt.Sprintf(`{"v1Compatibility":"{\"id\":\"%064x\",\"parent\":\"%064x\"}"}`, len(layers)-i, len(layers)-i-1))
	}
	if len(layers) > 0 {
		last := &history[len(layers)-1]
		*last = strings.ReplaceAll(*last, fmt.Sprintf(`,\"parent\":\"%064x\"`, 0), "")
	}
	body := fmt.Sprintf("{\n \"schemaVersion\": 1,\n \"name\": \"a/b\",\n \"tag\": \"latest\",\n \"architecture\": \"amd64\",\n \"fsLayers\": [%s],\n \"history\": [%s]",
		strings.Join(sums, ","), strings.Join(history, ","))
	const tail = "\n}"
	encode := base64.RawURLEncoding.EncodeToString
	protected := encode(fmt.Appendf(nil, `{"formatLength":%d,"formatTail":%q,"time":"2015-01-01T00:00:00Z"}`, len(body), encode([]byte(tail))))
	signature := fmt.Sprintf(",\n \"signatures\": [{\"header\":{\"alg\":\"ES256\"},\"signature\":\"AAAA\",\"protected\":%q}]", protected)
	return []byte(body + signature + tail), []byte(body + tail)
}

// Layers of schema 1 manifests have digests and no sizes, and signed manifests
// have a digest that is not that of their bytes.
func TestSchema1(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	base, _ := s.Layer("base", 100)
	top, _ := s.Layer("top", 100)
	signed, payload := signedSchema1(top.Digest, base.Digest)
	root := ocispec.Descriptor{MediaType: image.MediaTypeDockerSchema1Signed, Digest: digest.FromBytes(payload), Size: int64(len(signed))}
	s.Set(root.Digest, signed)
	want := map[string]string{
		"version":             "Directory Transport Version: 1.1\n",
		"manifest.json":       string(signed),
		base.Digest.Encoded(): string(s.Get(base.Digest)),
		top.Digest.Encoded():  string(s.Get(top.Digest)),
	}
	for _, action := range []transport.Action{transport.Copied, transport.Reused} {
		d := openDestination(t, dir)
		for what, did := range put(t, d, s, root) {
			if did != action {
				t.Errorf("%s was %s, want %s", what, did, action)
			}
		}
		transporttest.Commit(t, d, transport.Naming{Desc: root})
		transporttest.Close(t, d)
		wantSame(t, "files", contents(t, dir), want)
	}
	src := openSource(t, dir)
	got, err := src.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "root", got, root)
	checkGraph(t, src, s, root)
}
