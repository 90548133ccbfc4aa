package image

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxMediaType is how long a media type may be: two names of 127 characters by
// RFC 6838, and the slash.
const maxMediaType = 255

// NormalizeContentType returns the media type of a manifest or list that a
// registry's Content-Type header stands for. Parameters are dropped and case does
// not matter. Anything that does not name such a type, as application/json,
// text/plain or nothing, gives "": then only the bytes can tell (see Guess).
func NormalizeContentType(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if IsDocument(mediaType) {
		return mediaType
	}
	return ""
}

// isMediaType reports whether s has the form of a media type: a type, a slash and
// a subtype, in printable ASCII. RFC 6838 allows fewer characters in a subtype,
// but parameters are found there in the wild, and are harmless.
func isMediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	return ok && len(s) <= maxMediaType && sub != "" && sub[0] != ' ' &&
		onlyHas(kind, func(c byte) bool { return ' ' < c && c < 0x7f }) &&
		onlyHas(sub, func(c byte) bool { return ' ' <= c && c < 0x7f })
}

// isImageLayer reports whether the media type is that of an image's layer, with
// any suffix for compression or encryption.
func isImageLayer(mediaType string) bool {
	for _, family := range []string{
		ocispec.MediaTypeImageLayer,
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		MediaTypeDockerLayer,
		MediaTypeDockerForeignLayer,
	} {
		rest, ok := strings.CutPrefix(mediaType, family)
		if ok && (rest == "" || rest[0] == '+' || rest[0] == '.') {
			return true
		}
	}
	return false
}
