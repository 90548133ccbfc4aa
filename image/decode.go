package image

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Decode decodes a manifest or list: the result is a *List, a *Manifest or a
// *Schema1. Its type is that of declared; where declared says nothing, it is what
// Guess tells. The document keeps data, which must not be changed afterwards.
//
// Every descriptor is checked while it is read: it has a media type, a digest that
// is valid by ParseDigest, and a size of 0 or more; data that it embeds is what it
// describes. So are these:
//
//   - the JSON is strict: valid UTF-8, no name twice or ambiguous by its case,
//     nothing after the document;
//   - the media types in declared and in the document are the same;
//   - the schema version is that of the type;
//   - of config, layers, manifests, fsLayers and history, the document has none
//     that another type is known by (CVE-2021-41190). Null counts as absent.
//
// Errors are ErrInvalidArgument for what breaks a rule, ErrResourceExhausted for
// what is beyond lim, ErrNotImplemented for a media type, digest algorithm or
// schema version that is not supported, and ErrDataLoss for embedded data that is
// not what its descriptor says.
func Decode(data []byte, declared Declared, lim Limits) (Document, error) {
	lim = lim.WithDefaults()
	mediaType, err := typeOf(data, declared, lim)
	if err != nil {
		return nil, err
	}
	var doc Document
	switch mediaType {
	case ocispec.MediaTypeImageIndex, MediaTypeDockerList:
		doc, err = decodeList(data, mediaType, declared, lim)
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest:
		doc, err = decodeManifest(data, mediaType, declared, lim)
	case MediaTypeDockerSchema1, MediaTypeDockerSchema1Signed:
		doc, err = decodeSchema1(data, mediaType, declared, lim)
	default:
		return nil, fmt.Errorf("decode document: media type %s is not that of a manifest or list: %w",
			strictjson.Quote(mediaType), errdefs.ErrNotImplemented)
	}
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", mediaType, err)
	}
	return doc, nil
}

// typeOf returns the media type to decode data as.
func typeOf(data []byte, declared Declared, lim Limits) (string, error) {
	switch {
	case declared.Descriptor != "" && declared.Served != "" && declared.Descriptor != declared.Served:
		return "", fmt.Errorf("decode document: %w", declared.conflict(peek(data, lim).mediaType))
	case declared.Descriptor != "":
		return declared.Descriptor, nil
	case declared.Served != "":
		return declared.Served, nil
	}
	if mediaType := peek(data, lim).guess(); mediaType != "" {
		return mediaType, nil
	}
	// Say what is wrong with the JSON, if that is why nothing could be guessed.
	if err := strictjson.Read(data, lim.document(), (*strictjson.Reader).Skip); err != nil {
		return "", fmt.Errorf("decode document: %w", err)
	}
	return "", fmt.Errorf("decode document: it is no manifest or list of a known type: %w", errdefs.ErrInvalidArgument)
}

// conflict returns the error for media types that do not agree, body being that in
// the document.
func (d Declared) conflict(body string) error {
	var said []string
	for _, c := range []struct{ who, mediaType string }{
		{"its descriptor", d.Descriptor}, {"the server", d.Served}, {"the document itself", body},
	} {
		if c.mediaType != "" {
			said = append(said, c.who+" says "+strictjson.Quote(c.mediaType))
		}
	}
	return fmt.Errorf("media types do not agree: %s: %w", strings.Join(said, ", "), errdefs.ErrInvalidArgument)
}

// member is a top-level member of a document; value is its raw JSON, which shares
// memory with the document.
type member struct {
	name  string
	value []byte
}

// documentFields are the names in an OCI or schema 2 document, and those that tell
// one type from another.
var documentFields = strictjson.NewFields("schemaVersion", "mediaType", "artifactType",
	"config", "layers", "manifests", "subject", "annotations", "fsLayers", "history")

// kindFields are the names by which the types are told apart.
var kindFields = []string{"config", "fsLayers", "history", "layers", "manifests"}

// body is what OCI and schema 2 documents have in common.
type body struct {
	mediaType    string
	raw          []byte
	members      []member
	artifactType string
	subject      *ocispec.Descriptor
	annotations  map[string]string
}

// bodyReader reads a body. content is called for the kindFields that the type has,
// which own lists.
type bodyReader struct {
	declared    Declared
	own         []string
	descriptors descriptorReader
	content     func(r *strictjson.Reader, name string) error
}

// read reads data as a document of that media type.
func (b *bodyReader) read(data []byte, mediaType string, lim Limits) (body, error) {
	doc := body{mediaType: mediaType, raw: data}
	b.descriptors.max = lim.Descriptors
	err := strictjson.Read(data, lim.document(), func(r *strictjson.Reader) error {
		version := false
		err := r.Object(documentFields, func(name string) error {
			value, err := r.Capture(func() error {
				if r.Null() {
					return nil
				}
				version = version || name == "schemaVersion"
				return b.member(r, &doc, name)
			})
			doc.members = append(doc.members, member{name, value})
			return err
		})
		if err == nil && !version {
			err = r.Missing("schemaVersion")
		}
		return err
	})
	return doc, err
}

// member reads the value of one top-level member, which is not null.
func (b *bodyReader) member(r *strictjson.Reader, doc *body, name string) (err error) {
	switch {
	case name == "schemaVersion":
		return checkSchemaVersion(r)
	case name == "mediaType":
		return checkMediaType(r, doc.mediaType, b.declared)
	case slices.Contains(b.own, name):
		return b.content(r, name)
	case slices.Contains(kindFields, name):
		return ambiguous(r, name)
	case !isOCI(doc.mediaType):
		return nil // the fields below are OCI's
	case name == "artifactType":
		doc.artifactType, err = readOptionalMediaType(r)
	case name == "annotations":
		doc.annotations, err = r.StringMap()
	case name == "subject":
		var subject ocispec.Descriptor
		subject, err = b.descriptors.read(r)
		doc.subject = &subject
	}
	return err
}

// ambiguous returns the error for a document that has what another type is known by.
func ambiguous(r *strictjson.Reader, name string) error {
	return r.Errorf(errdefs.ErrInvalidArgument, "makes this an ambiguous manifest: documents of this type have no %s", name)
}

// checkSchemaVersion reads the schemaVersion of an OCI or schema 2 document.
func checkSchemaVersion(r *strictjson.Reader) error {
	switch version, err := r.Int64(); {
	case err != nil:
		return err
	case version == 1:
		return r.Errorf(errdefs.ErrNotImplemented, "is 1: a schema 1 manifest is not supported under this media type")
	case version != 2:
		return r.Errorf(errdefs.ErrInvalidArgument, "is %d where 2 is wanted", version)
	}
	return nil
}

// checkMediaType reads the media type that a document gives itself. Empty counts
// as absent.
func checkMediaType(r *strictjson.Reader, want string, declared Declared) error {
	have, err := r.String()
	if err == nil && have != "" && have != want {
		return declared.conflict(have)
	}
	return err
}

// isOCI reports whether the media type is that of an OCI index or manifest.
func isOCI(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == ocispec.MediaTypeImageManifest
}
