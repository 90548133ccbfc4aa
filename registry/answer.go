package registry

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/registry/wire"
)

// The header fields of the distribution specification.
const (
	headerDigest  = "Docker-Content-Digest"
	headerSubject = "OCI-Subject"
	headerFilters = "OCI-Filters-Applied"
	headerTag     = "OCI-Tag"
)

// describe returns the descriptor of a document that was served with a header. The
// digest that was wanted, if any, is that of the bytes, or it is an error.
func (c *Client) describe(e *endpoint, h http.Header, data []byte, want digest.Digest) (ocispec.Descriptor, error) {
	mediaType, err := typeOf(h.Get("Content-Type"), data)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: want, Size: int64(len(data))}
	if want != "" {
		if err := image.VerifyBytes(data, desc); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	told := h.Get(headerDigest)
	if told == "" && want != "" || want != "" && told == want.String() {
		return desc, nil
	}
	// By tag, a digest of another algorithm is taken over where it is the bytes' own:
	// that is the name by which the registry has them.
	d, err := image.ParseDigest(told)
	if err == nil {
		own, err := image.DigestOf(data, mediaType, d.Algorithm())
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if own == d {
			if want == "" {
				desc.Digest = d
			}
			return desc, nil
		}
	}
	if told != "" {
		c.log.Warn("the registry names another digest than that of what it sent", "registry", e.String(), "named", quote(told))
	}
	if want == "" {
		desc.Digest, err = image.DigestOf(data, mediaType, digest.SHA256)
		return desc, err
	}
	return desc, nil
}

// typeOf returns the media type of a document. An answer that is none is
// wire.ErrNotRegistry.
func typeOf(contentType string, data []byte) (string, error) {
	if t := image.NormalizeContentType(contentType); t != "" {
		return t, nil
	}
	if t := image.Guess(data); t != "" {
		return t, nil
	}
	t := typeName(contentType)
	switch {
	case t == "", t == "application/json", t == "application/octet-stream", strings.HasPrefix(t, "text/"):
	case strings.HasPrefix(strings.TrimLeft(string(data[:min(len(data), 64)]), " \t\r\n"), "{"):
		return t, nil // a type of document that is not known here
	}
	return "", fmt.Errorf("%w: Content-Type %s, and a body that begins %s", wire.ErrNotRegistry, quote(contentType), begin(data))
}

// begin returns the beginning of a body for a message.
func begin(data []byte) string {
	const shown = 200
	if len(data) > shown {
		return strconv.QuoteToASCII(string(data[:shown])) + "…"
	}
	return strconv.QuoteToASCII(string(data))
}
