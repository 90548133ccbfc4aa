// Package ocilayout knows the rules of an OCI image layout, wherever its files are
// kept: what oci-layout and index.json may say, which image a reference means, what
// refers to what, and how names move in index.json. It reads and writes no files.
package ocilayout

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	// Marker is the content of a new file oci-layout.
	Marker = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`

	// MaxMarkerBytes bounds the file oci-layout.
	MaxMarkerBytes = 64 << 10

	// MaxIndexBytes bounds index.json: it may hold the names of many images.
	MaxIndexBytes = 8 << 20
)

// markerFields are the members of the file oci-layout.
var markerFields = strictjson.NewFields("imageLayoutVersion")

// CheckMarker checks the content of the file oci-layout, by which a place is a
// layout. What is not version 1.0 is errdefs.ErrInvalidArgument.
func CheckMarker(data []byte) error {
	var version string
	err := strictjson.Read(data, strictjson.Limits{}, func(r *strictjson.Reader) error {
		return r.Object(markerFields, func(name string) error {
			var err error
			if name == "imageLayoutVersion" {
				version, err = r.String()
				return err
			}
			return r.Skip()
		})
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", ocispec.ImageLayoutFile, err)
	}
	if version != "1.0" && !strings.HasPrefix(version, "1.0.") {
		return fmt.Errorf("%s: version %s of the image layout is not supported, only 1.0: %w", ocispec.ImageLayoutFile, strictjson.Quote(version), errdefs.ErrInvalidArgument)
	}
	return nil
}

// DecodeIndex decodes the content of index.json, as strictly as any list but with
// MaxIndexBytes in the place of the limit for documents.
func DecodeIndex(data []byte, limits image.Limits) (*image.List, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s is empty: its content may have been lost when the system crashed: %w", ocispec.ImageIndexFile, errdefs.ErrInvalidArgument)
	}
	limits.DocumentBytes = MaxIndexBytes
	doc, err := image.Decode(data, image.Declared{Descriptor: ocispec.MediaTypeImageIndex}, limits)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ocispec.ImageIndexFile, err)
	}
	list, ok := doc.(*image.List)
	if !ok {
		return nil, fmt.Errorf("reading %s: %s is not an index: %w", ocispec.ImageIndexFile, doc.MediaType(), errdefs.ErrInvalidArgument)
	}
	return list, nil
}

// CheckIndexSize checks that DecodeIndex accepts what shall be written.
func CheckIndexSize(list *image.List, limits image.Limits) error {
	if n := len(list.Bytes()); n > MaxIndexBytes {
		return fmt.Errorf("%s would have %d bytes, the limit is %d: %w", ocispec.ImageIndexFile, n, MaxIndexBytes, errdefs.ErrResourceExhausted)
	}
	if n, most := len(list.Instances()), limits.WithDefaults().Descriptors; n > most {
		return fmt.Errorf("%s would have %d entries, the limit is %d: %w", ocispec.ImageIndexFile, n, most, errdefs.ErrResourceExhausted)
	}
	return nil
}
