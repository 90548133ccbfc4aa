package image

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Guess returns the media type of a manifest or list of which none is known, or ""
// for what is neither: one of the four modern types if the document names it, or
// else what its schema version, config and entries tell. An artifact is an OCI
// manifest; one of schema version 1 is signed if it has signatures.
//
// It is loose: what it does not look at can be anything that is JSON, and Decode
// may still refuse the document. Of a member that is there twice the last one
// counts. What is over the default of Limits.DocumentBytes gives "".
func Guess(data []byte) string { return peek(data, Limits{}.WithDefaults()).guess() }

// outline is what a document says of its type.
type outline struct {
	mediaType     string
	schemaVersion int64
	configType    string
	manifests     bool // a list, maybe empty
	signatures    bool
}

// peek reads a document's outline, which is zero if the document is not JSON.
// Members of other kinds than they should be count as absent.
func peek(data []byte, lim Limits) outline {
	var o outline
	loose := lim.document()
	loose.Loose = true
	err := strictjson.Read(data, loose, func(r *strictjson.Reader) error {
		if r.Kind() != strictjson.Object {
			return nil
		}
		return r.Map(func(name string) (err error) {
			switch kind := r.Kind(); {
			case name == "mediaType" && kind == strictjson.String:
				o.mediaType, err = r.String()
			case name == "schemaVersion" && kind == strictjson.Number:
				o.schemaVersion, err = peekVersion(r)
			case name == "config" && kind == strictjson.Object:
				o.configType, err = peekConfigType(r)
			case name == "manifests":
				o.manifests = kind == strictjson.Array
			case name == "signatures":
				o.signatures = kind != strictjson.Null
			}
			return err
		})
	})
	if err != nil {
		return outline{}
	}
	return o
}

// peekVersion reads a number: 1 and 2 as such, all others as 0.
func peekVersion(r *strictjson.Reader) (int64, error) {
	raw, err := r.Raw()
	switch string(raw) {
	case "1":
		return 1, err
	case "2":
		return 2, err
	}
	return 0, err
}

func peekConfigType(r *strictjson.Reader) (mediaType string, err error) {
	err = r.Map(func(name string) (err error) {
		if name == "mediaType" && r.Kind() == strictjson.String {
			mediaType, err = r.String()
		}
		return err
	})
	return mediaType, err
}

// guess returns the media type of the document that has this outline, or "".
func (o outline) guess() string {
	switch {
	case IsList(o.mediaType), o.mediaType == ocispec.MediaTypeImageManifest, o.mediaType == MediaTypeDockerManifest:
		return o.mediaType
	case o.schemaVersion == 1 && o.signatures:
		return MediaTypeDockerSchema1Signed
	case o.schemaVersion == 1:
		return MediaTypeDockerSchema1
	case o.schemaVersion != 2:
		return ""
	case o.configType == MediaTypeDockerConfig:
		return MediaTypeDockerManifest
	case o.manifests && o.configType == "":
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}
