package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/imagechange"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// ImportOptions say what image Import makes. The zero value makes one for the host, without
// a name.
type ImportOptions struct {
	// Name is that of the image, with latest if it has no tag; empty: it dangles.
	Name string
	// Platform is what the image is for; nil: Options.Host.
	Platform *ocispec.Platform
	// Message is the comment of the history; empty: "Imported from -".
	Message string
	// Changes are instructions as in a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE,
	// HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR.
	Changes []string
	// MaxSize bounds the file system, in bytes as a plain tar; 0: 256 GiB.
	MaxSize int64
}

// Imported is what an Import has made.
type Imported struct {
	// Name is the name in its normal form, or empty, and Target the manifest.
	Name   string
	Target ocispec.Descriptor
	// Config and Layer are what is in it, and DiffID is the digest of the plain tar.
	Config, Layer ocispec.Descriptor
	DiffID        digest.Digest
	// Before is the record that the name had, zero if there was none. Dangling tells that
	// its target has no name any more.
	Before   store.Record
	Dangling bool
}

const (
	defaultMessage = "Imported from -"
	// maxImported is the default of ImportOptions.MaxSize.
	maxImported = 256 << 30
)

// Import makes an image with one layer of a root file system, a tar archive that may be
// compressed with gzip, zstd, bzip2 or xz, and points the name at it when all is there. The
// layer is what was read, byte for byte, if that is compressed with gzip or zstd, and else
// is compressed with gzip. What is in the archive is data, and is not looked at. The same
// bytes at the same time give the same image.
//
// What is no tar archive, is cut off or has nothing, a change that cannot be parsed, and a
// name with a digest (with the text "cannot import digest reference") are
// ErrInvalidArgument; what is too large is ErrResourceExhausted, and xz with filters for
// machine code ErrNotImplemented.
// Then no name has moved, and nothing is left behind. It returns when the context ends, but
// may leave a read of the stream behind.
func (s *Service) Import(ctx context.Context, r io.Reader, opts ImportOptions) (Imported, error) {
	done, err := s.importTar(ctx, r, opts)
	if err != nil {
		return Imported{}, fmt.Errorf("import: %w", err)
	}
	e := Event{Action: ActionImport, ID: string(done.Target.Digest)}
	if done.Name != "" {
		e.Name = Familiar(store.Record{Name: done.Name})
	}
	s.emit(e)
	return done, nil
}

func (s *Service) importTar(ctx context.Context, r io.Reader, opts ImportOptions) (done Imported, err error) {
	if done.Name, err = importName(opts.Name); err != nil {
		return done, err
	}
	config, err := s.importConfig(opts)
	if err != nil {
		return done, err
	}
	st, err := s.stage(ctx)
	if err != nil {
		return done, err
	}
	defer st.close()
	limit := opts.MaxSize
	if limit <= 0 {
		limit = maxImported
	}
	if done.Layer, done.DiffID, err = st.layer(ctx, r, limit); err != nil {
		return done, err
	}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{done.DiffID}}
	if done.Config, err = st.document(ctx, ocispec.MediaTypeImageConfig, image.RoleConfig, config); err != nil {
		return done, err
	}
	done.Target, err = st.document(ctx, ocispec.MediaTypeImageManifest, image.RoleManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: done.Config, Layers: []ocispec.Descriptor{done.Layer},
	})
	if err != nil {
		return done, err
	}
	moved, err := st.publish(ctx, func(v *view) ([]store.Move, error) {
		if done.Name == "" {
			return v.danglingMove(done.Target)
		}
		return []store.Move{{Name: done.Name, To: done.Target, Labels: map[string]string{}}}, nil
	})
	if err == nil && done.Name != "" {
		done.Before, done.Dangling = moved[0].Before, moved[0].Dangling
	}
	return done, err
}

// importName returns a name in its normal form.
func importName(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if to, err := ref.Parse(name); err == nil && to.Digest() != "" {
		return "", fmt.Errorf("cannot import digest reference %.512q: %w", name, errdefs.ErrInvalidArgument)
	}
	to, err := parseTag(name)
	if err != nil {
		return "", err
	}
	return to.String(), nil
}

// importedConfig is the config of an image that was imported.
type importedConfig struct {
	Created time.Time `json:"created"`
	ocispec.Platform
	Config  imagechange.Config `json:"config"`
	RootFS  ocispec.RootFS     `json:"rootfs"`
	History []ocispec.History  `json:"history"`
}

// importConfig makes the config, but for the layer.
func (s *Service) importConfig(opts ImportOptions) (*importedConfig, error) {
	c := &importedConfig{Created: s.opts.Clock().UTC(), Platform: *s.opts.Host}
	if opts.Platform != nil {
		c.Platform = *opts.Platform
	}
	if c.OS == "" || c.Architecture == "" {
		return nil, fmt.Errorf("a platform needs an operating system and an architecture: %w", errdefs.ErrInvalidArgument)
	}
	if err := c.Config.Apply(c.OS, opts.Changes...); err != nil {
		return nil, err
	}
	message := opts.Message
	if message == "" {
		message = defaultMessage
	}
	c.History = []ocispec.History{{Created: &c.Created, Comment: message}}
	return c, nil
}

// document writes a document, which is made as JSON.
func (st *staging) document(ctx context.Context, mediaType string, role image.Role, v any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	_, err = st.add(ctx, desc, role, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
	return desc, err
}
