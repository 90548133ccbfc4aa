package crashtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
)

const (
	lanes      = 3
	poolSize   = 18 // layers that all lanes share
	laneImages = 5
	laneNames  = 4
	manyFiles  = 66
)

// small is up to which size a blob is kept in the database.
const small = 64 << 10

// contents are what is written to a store: they follow from a seed.
type contents struct {
	src    testimage.Store
	pool   []ocispec.Descriptor
	many   []node // files, more than are synced one by one
	images [lanes][]picture
	of     map[digest.Digest]picture // by the digest of the root
}

// picture is an image: what it consists of, children before parents.
type picture struct {
	root  ocispec.Descriptor
	nodes []node
}

type node struct {
	desc ocispec.Descriptor
	role image.Role
}

func newContents(seed uint64) *contents {
	c := &contents{of: map[digest.Digest]picture{}}
	for i := range poolSize {
		size := []int{100, 10 << 10, small, small + 1, 300 << 10, 1500 << 10}[i%6]
		c.pool = append(c.pool, c.src.Put(ocispec.MediaTypeImageLayer, bytesOf(seed, i, size)))
	}
	for i := range manyFiles {
		c.many = append(c.many, node{c.src.Put(ocispec.MediaTypeImageLayer, bytesOf(seed, 1000+i, small+1+i)), image.RoleLayer})
	}
	for lane := range lanes {
		r := random(seed, uint64(100+lane))
		for n := range laneImages {
			picture := c.manifest
			if n%2 == 1 {
				picture = c.list
			}
			p := picture(r, fmt.Sprintf("%d/%d/%d", seed, lane, n))
			c.images[lane] = append(c.images[lane], p)
			c.of[p.root.Digest] = p
		}
	}
	return c
}

func bytesOf(seed uint64, n, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(n))
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// list makes a list of two manifests, of which one may be missing: it is deliberately
// incomplete then.
func (c *contents) list(r *rand.Rand, name string) picture {
	one, two := c.manifest(r, name+"/one"), c.manifest(r, name+"/two")
	root := c.src.Index(one.root, two.root)
	p := picture{root: root, nodes: one.nodes}
	if r.IntN(2) == 0 {
		p.nodes = append(p.nodes, two.nodes...)
	}
	p.nodes = append(p.nodes, node{root, image.RoleIndex})
	return p
}

func (c *contents) manifest(r *rand.Rand, name string) picture {
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispec.ImageConfig{Labels: map[string]string{"name": name}},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	var p picture
	var layers []ocispec.Descriptor
	for _, i := range r.Perm(poolSize)[:1+r.IntN(4)] {
		layers = append(layers, c.pool[i])
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, c.pool[i].Digest)
		p.nodes = append(p.nodes, node{c.pool[i], image.RoleLayer})
	}
	configDesc := c.src.JSON(ocispec.MediaTypeImageConfig, config)
	p.root = c.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: configDesc, Layers: layers,
	})
	p.nodes = append(p.nodes, node{configDesc, image.RoleConfig}, node{p.root, image.RoleManifest})
	return p
}

// opener opens a blob.
func (c *contents) opener(desc ocispec.Descriptor) func(context.Context, int64) (io.ReadCloser, error) {
	return c.src.Opener(desc)
}
