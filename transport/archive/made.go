package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/decompress"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/internal/tarindex"
	"github.com/dhowhq/dhow/internal/verify"
)

// maker makes the manifests of images. What several of them share is looked at once.
type maker struct {
	r      *Reader
	budget *image.Budget // of all images together
	pump   durable.Pump

	mu      sync.Mutex
	configs map[tarindex.Member]*madeConfig
	layers  map[layerKey]layer // those that were read
	legacy  map[string]*legacyConfig
}

// madeConfig is a config for which a manifest is made.
type madeConfig struct {
	desc     ocispec.Descriptor
	platform ocispec.Platform
	diffIDs  []digest.Digest
	member   tarindex.Member // where it is in the archive, unless data is not nil
	data     []byte
}

// layerKey is a layer by what is said of it.
type layerKey struct {
	member tarindex.Member
	diffID digest.Digest
}

func newMaker(r *Reader) *maker {
	return &maker{
		r: r, budget: image.NewBudget(r.opts.Limits),
		configs: map[tarindex.Member]*madeConfig{}, layers: map[layerKey]layer{}, legacy: map[string]*legacyConfig{},
	}
}

// cached returns what a map has for a key, or else what get returns, which is kept.
func cached[K comparable, V any](m *maker, in map[K]V, key K, get func() (V, error)) (V, error) {
	m.mu.Lock()
	value, ok := in[key]
	m.mu.Unlock()
	if ok {
		return value, nil
	}
	value, err := get()
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		in[key] = value
	}
	return value, err
}

// image makes the manifest of an image in manifest.json.
func (m *maker) image(ctx context.Context, item manifestItem) (*madeImage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	config, err := m.config(item.Config)
	if err != nil {
		return nil, err
	}
	if len(config.diffIDs) != len(item.Layers) {
		return nil, fmt.Errorf("it has %d layers, its config %s has %d diff IDs: %w", len(item.Layers), strictjson.Quote(item.Config), len(config.diffIDs), errdefs.ErrInvalidArgument)
	}
	var layers []layer
	for i, name := range item.Layers {
		member, err := m.r.tar.Lookup(name)
		if err != nil {
			return nil, entryError(err)
		}
		l, err := m.layer(ctx, member, config.diffIDs[i])
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", strictjson.Quote(name), err)
		}
		layers = append(layers, l)
	}
	return m.manifest(config, layers)
}

// config reads a config that manifest.json names.
func (m *maker) config(name string) (*madeConfig, error) {
	member, err := m.r.tar.Lookup(name)
	if err != nil {
		return nil, entryError(err)
	}
	return cached(m, m.configs, member, func() (*madeConfig, error) {
		data, err := m.r.tar.Bytes(name, m.r.opts.Limits.ConfigBytes)
		if err == nil {
			err = checkConfigName(name, data)
		}
		if err != nil {
			return nil, err
		}
		c, err := configOf(data, m.r.opts.Limits)
		if err != nil {
			return nil, fmt.Errorf("config %s: %w", strictjson.Quote(name), err)
		}
		c.member = member
		return c, nil
	})
}

func configOf(data []byte, lim image.Limits) (*madeConfig, error) {
	decoded, err := image.DecodeConfig(data, lim)
	if err != nil {
		return nil, err
	}
	return &madeConfig{
		desc:     ocispec.Descriptor{MediaType: image.MediaTypeDockerConfig, Digest: digest.FromBytes(data), Size: int64(len(data))},
		platform: decoded.Platform, diffIDs: decoded.DiffIDs,
	}, nil
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

// layer describes the layer that an entry of the archive is. One that is not compressed has
// its diff ID for a digest, which is believed here, since whoever reads it to the end checks
// it. One that is compressed is read here: only then its digest is known, and only here it can
// be checked whether it is the layer of that diff ID. An empty diff ID is not known.
func (m *maker) layer(ctx context.Context, member tarindex.Member, diffID digest.Digest) (layer, error) {
	head := make([]byte, decompress.SniffLen)
	n, err := m.r.tar.Open(member).Read(head)
	if err != nil && !errors.Is(err, io.EOF) {
		return layer{}, err
	}
	format := decompress.Sniff(head[:n])
	l := layer{member: member, diffID: diffID, desc: ocispec.Descriptor{Size: member.Size, Digest: diffID}}
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
	return cached(m, m.layers, layerKey{member, diffID}, func() (layer, error) {
		err := m.measure(ctx, &l, format)
		return l, err
	})
}

// measure reads a layer, and finds out its digest, and its diff ID or whether that is right.
func (m *maker) measure(ctx context.Context, l *layer, format decompress.Format) error {
	packed, unpacked := digest.SHA256.Digester(), digest.SHA256.Digester()
	plain, err := decompress.NewReader(ctx, format, io.TeeReader(m.r.tar.Open(l.member), packed.Hash()))
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
	err = m.pump.Copy(ctx, plain, &bound{limit: m.r.opts.MaxStaged}, func(p []byte) error {
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

// manifest makes the manifest of a config and layers. It is one of Docker's schema 2, for so
// is the config, which stays as it is: an image that Docker has saved is known by that.
func (m *maker) manifest(config *madeConfig, layers []layer) (*madeImage, error) {
	doc := schema2{SchemaVersion: 2, MediaType: image.MediaTypeDockerManifest, Layers: []ocispec.Descriptor{}, Config: config.desc}
	im := &madeImage{r: m.r, members: map[digest.Digest]tarindex.Member{}}
	for _, l := range layers {
		doc.Layers = append(doc.Layers, l.desc)
		if _, ok := im.members[l.desc.Digest]; !ok {
			im.members[l.desc.Digest] = l.member
		}
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if _, err := image.Decode(data, image.Declared{}, m.r.opts.Limits); err != nil {
		return nil, fmt.Errorf("the manifest that was made for it: %w", err)
	}
	if err := m.budget.Take(len(layers)+2, int64(len(data)+len(config.data))); err != nil {
		return nil, err
	}
	im.desc = ocispec.Descriptor{MediaType: doc.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if p := config.platform; p.OS != "" && p.Architecture != "" {
		im.desc.Platform = &p
	}
	im.documents = map[digest.Digest][]byte{im.desc.Digest: data}
	if config.data != nil {
		im.documents[config.desc.Digest] = config.data
	} else {
		im.members[config.desc.Digest] = config.member
	}
	return im, nil
}
