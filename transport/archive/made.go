package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/decompress"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/internal/tarindex"
	"github.com/dhowhq/dhow/internal/verify"
)

// makeImage makes the manifest of an image in manifest.json.
func (r *Reader) makeImage(ctx context.Context, item manifestItem) (*madeImage, error) {
	config, err := r.tar.Bytes(item.Config, r.opts.Limits.ConfigBytes)
	if err != nil {
		return nil, entryError(err)
	}
	if err := checkConfigName(item.Config, config); err != nil {
		return nil, err
	}
	decoded, err := image.DecodeConfig(config, r.opts.Limits)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", strictjson.Quote(item.Config), err)
	}
	if len(decoded.DiffIDs) != len(item.Layers) {
		return nil, fmt.Errorf("it has %d layers, its config %s has %d diff IDs: %w", len(item.Layers), strictjson.Quote(item.Config), len(decoded.DiffIDs), errdefs.ErrInvalidArgument)
	}
	var layers []layer
	for i, name := range item.Layers {
		m, err := r.tar.Lookup(name)
		if err != nil {
			return nil, entryError(err)
		}
		l, err := r.layerOf(ctx, m, decoded.DiffIDs[i])
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", strictjson.Quote(name), err)
		}
		layers = append(layers, l)
	}
	return r.makeManifest(config, decoded.Platform, layers)
}

// checkConfigName checks a config whose name says which digest it has, as all do that Docker
// has written: an image is known by it.
func checkConfigName(name string, data []byte) error {
	hex := strings.TrimPrefix(strings.TrimSuffix(path.Base(name), ".json"), "sha256:")
	said, err := image.ParseDigest("sha256:" + hex)
	if err != nil {
		return nil //nolint:nilerr // it says nothing
	}
	if got := digest.FromBytes(data); got != said {
		return fmt.Errorf("config %s has the digest %s: %w", strictjson.Quote(name), got, errdefs.ErrDataLoss)
	}
	return nil
}

// layer is a layer of an image that is made a manifest for.
type layer struct {
	member tarindex.Member
	desc   ocispec.Descriptor
	diffID digest.Digest
}

// layerOf describes the layer that an entry of the archive is. One that is not compressed has
// its diff ID for a digest, which is believed here, since whoever reads it to the end checks
// it. One that is compressed is read here: only then its digest is known, and only here it can
// be checked whether it is the layer of that diff ID. An empty diff ID is not known.
func (r *Reader) layerOf(ctx context.Context, m tarindex.Member, diffID digest.Digest) (layer, error) {
	head := make([]byte, decompress.SniffLen)
	n, err := r.tar.Open(m).Read(head)
	if err != nil && !errors.Is(err, io.EOF) {
		return layer{}, err
	}
	format := decompress.Sniff(head[:n])
	l := layer{member: m, diffID: diffID, desc: ocispec.Descriptor{Size: m.Size, Digest: diffID}}
	switch format {
	case decompress.None:
		l.desc.MediaType = image.MediaTypeDockerLayer
		if diffID != "" {
			return l, nil
		}
	case decompress.Gzip:
		l.desc.MediaType = image.MediaTypeDockerLayerGzip
	case decompress.Zstd:
		l.desc.MediaType = image.MediaTypeDockerLayerZstd
	default:
		return l, fmt.Errorf("a layer that is compressed with %s: %w", format, errdefs.ErrNotImplemented)
	}
	err = r.measure(ctx, &l, format)
	return l, err
}

// measure reads a layer, and finds out its digest, and its diff ID or whether that is right.
func (r *Reader) measure(ctx context.Context, l *layer, format decompress.Format) error {
	packed, unpacked := digest.SHA256.Digester(), digest.SHA256.Digester()
	plain, err := decompress.NewReader(format, io.TeeReader(r.tar.Open(l.member), packed.Hash()))
	if err != nil {
		return err
	}
	hash := unpacked.Hash().Write
	var check *verify.Verifier
	if l.diffID != "" {
		if check, err = verify.New(l.diffID, verify.Unknown); err != nil {
			return errors.Join(err, plain.Close())
		}
		hash = check.Write
	}
	err = r.pump.Copy(ctx, plain, &bound{limit: r.opts.MaxStaged}, func(p []byte) error {
		_, err := hash(p)
		return err
	})
	if err = errors.Join(err, plain.Close()); err != nil {
		return err
	}
	if check == nil {
		l.diffID = unpacked.Digest()
	} else if err := check.Finish(); err != nil {
		return fmt.Errorf("it is not the layer of its diff ID: %w", err)
	}
	l.desc.Digest = packed.Digest()
	return nil
}

// schema2 is a manifest as it is made, always with the same bytes for the same image.
type schema2 struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        ocispec.Descriptor   `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
}

// makeManifest makes the manifest of a config and layers. It is one of Docker's schema 2, for
// so is the config, which stays as it is: an image that Docker has saved is known by that.
func (r *Reader) makeManifest(config []byte, p ocispec.Platform, layers []layer) (*madeImage, error) {
	m := schema2{
		SchemaVersion: 2, MediaType: image.MediaTypeDockerManifest, Layers: []ocispec.Descriptor{},
		Config: ocispec.Descriptor{MediaType: image.MediaTypeDockerConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
	}
	im := &madeImage{r: r, layers: map[digest.Digest]tarindex.Member{}}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.desc)
		if _, ok := im.layers[l.desc.Digest]; !ok {
			im.layers[l.desc.Digest] = l.member
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := image.Decode(data, image.Declared{}, r.opts.Limits); err != nil {
		return nil, fmt.Errorf("the manifest that was made for it: %w", err)
	}
	im.desc = ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if p.OS != "" && p.Architecture != "" {
		im.desc.Platform = &p
	}
	im.documents = map[digest.Digest][]byte{im.desc.Digest: data, m.Config.Digest: config}
	return im, nil
}
