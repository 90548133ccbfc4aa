// Package archive reads and writes images in tar archives, as `docker save`, `podman save`
// and others do.
//
// There are two kinds. An archive of the kind OCI is an OCI image layout in a tar file. One
// of the kind Docker is that too, and has Docker's manifest.json beside it, so that one file
// serves whoever knows either. Both hold lists, attestations and referrers, and any number of
// images, which share their blobs.
//
// Archives are written in one pass, to a file that appears when it is whole or to a stream
// (see Writer), and read where they stand, without being unpacked (see Reader). What Docker
// and others have written since the beginning is read as well, compressed or not.
package archive

import (
	"log/slog"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/ref"
)

// Kind is how the images of an archive are named, and who can read it.
type Kind int

// The kinds.
const (
	// Docker archives name images by full references, and can be read by Docker of
	// every age.
	Docker Kind = iota
	// OCI archives name images as OCI layouts do, by org.opencontainers.image.ref.name.
	OCI
)

// String returns the name of the transport for archives of the kind.
func (k Kind) String() string {
	if k == OCI {
		return "oci-archive"
	}
	return "docker-archive"
}

// maxStaged is the default of Options.MaxStaged.
const maxStaged = 256 << 30

// Options are those of reading and writing archives. The zero value is the default.
type Options struct {
	// Limits bound documents. Those on descriptors hold for index.json too.
	Limits image.Limits
	// LastWins accepts an archive that gives one name to several images: the last one
	// counts. That is an error otherwise.
	LastWins bool
	// Platform is that of which a written manifest.json has the instance of a list: who
	// reads that file knows no lists. Nil, or where a list has none for it: this machine's,
	// or else the first instance that is there.
	Platform *ocispec.Platform
	// TempDir is where what is compressed, or comes from a stream, is kept while it is
	// read; empty: os.TempDir.
	TempDir string
	// MaxStaged bounds that, and what layers are decompressed to when they are checked, in
	// bytes; 0: 256 GiB.
	MaxStaged int64
	// Logger is told of what is odd; nil: nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.WithDefaults()
	if o.MaxStaged <= 0 {
		o.MaxStaged = maxStaged
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Names of files in archives, beside those of an OCI layout.
const (
	manifestFile     = "manifest.json"
	repositoriesFile = "repositories"
)

// maxManifestBytes bounds manifest.json and repositories, as MaxIndexBytes does index.json.
const maxManifestBytes = ocilayout.MaxIndexBytes

// blobName returns the name of a blob in an OCI layout, and checks its digest.
func blobName(d digest.Digest) (string, error) {
	d, err := image.ParseDigest(string(d))
	if err != nil {
		return "", err
	}
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded(), nil
}

// fullName returns the full form of the name of an image, with a tag; "" for what is not such
// a name.
func fullName(name string) string {
	r, err := ref.Parse(name)
	if err != nil || r.Digest() != "" {
		return ""
	}
	return r.Tagged().String()
}
