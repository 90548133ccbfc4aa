package image

// STUBS: the agreed API; to be replaced by real files (digest.go, decode.go, list.go, …).

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (l *List) Descriptor() ocispec.Descriptor { panic("stub") } // of Bytes(), with the digest algorithm of the original (sha256 for new)

// NewList makes an empty list of that type (OCI index or Docker list).
func NewList(mediaType string) (*List, error) { panic("stub") }

// Update replaces digest, size and media type (and artifactType/annotations/platform where set non-nil in `to`) of every entry with digest d; ErrNotFound if none.
func (l *List) Update(d digest.Digest, to ocispec.Descriptor) (*List, error) { panic("stub") }

// Add appends entries.
func (l *List) Add(entries ...ocispec.Descriptor) (*List, error) { panic("stub") }

// Keep keeps the entries for which keep returns true; the rest is removed.
func (l *List) Keep(keep func(entry ocispec.Descriptor) bool) (*List, error) { panic("stub") }

// Annotate sets annotations on every entry with digest d, or on the list itself if d is empty. An empty value removes the key. Docker lists cannot be annotated: ErrNotImplemented.
func (l *List) Annotate(d digest.Digest, annotations map[string]string) (*List, error) { panic("stub") }

// CloneInstance adds a copy of the entry d that points at `to` with another compression: platform is taken over; zstd clones are annotated and placed after all gzip ones (stable).
func (l *List) CloneInstance(d digest.Digest, to ocispec.Descriptor, zstd Compression) (*List, error) {
	panic("stub")
}

// Compression of an instance's layers.
type Compression string

const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// Convert returns the list as the other type, and what was lost on the way, one sentence each. An entry without a platform is refused for Docker lists.
func (l *List) Convert(mediaType string) (*List, []string, error) { panic("stub") }

// Converted is a manifest in the other form.
type Converted struct {
	Manifest *Manifest
	Config   []byte   // new config bytes, nil where the old ones are kept
	Lost     []string // what the new form cannot say, one sentence each
}

// Convert returns the manifest as an OCI or schema 2 manifest. config holds the config's bytes.
func (m *Manifest) Convert(mediaType string, config []byte) (Converted, error) { panic("stub") }
