package service

import (
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// outline is what there is below a target as long as the same blobs are there: that is asked
// each time, and what their bytes say does not change. It is shared, and never written to.
type outline struct {
	digests   []digest.Digest // of all nodes of the graph
	sizes     []int64         // of those that are there; -1 of the others
	instances []Instance
	preferred int // see preferred
	size      int64
}

// many is from how many images on it is worth it to survey what is there.
const many = 100

// expect prepares for looking at the images that are going to be looked at.
func (v *view) expect(groups [][]store.Record, f filter, opts ListOptions) error {
	n := len(groups)
	if !opts.Shared {
		n = 0
		for _, records := range groups {
			if f.names(records) {
				n++
			}
		}
	}
	v.seen = &seen{}
	surveyor, ok := v.NameReader.(store.Surveyor)
	if !ok || n < many || n < len(groups)/8 {
		return nil
	}
	var err error
	if v.survey, err = surveyor.Survey(); errdefs.IsResourceExhausted(err) {
		return nil
	}
	return err
}

// outlined returns the outline of an image, for which it walks in a graph if need be.
func (v *view) outlined(g *graph, target ocispec.Descriptor, m matcher) (*outline, error) {
	if o := v.s.known.get(target.Digest); o != nil {
		if holds, err := v.holds(o); holds || err != nil {
			return o, err
		}
	}
	if err := v.walk(g, target); err != nil {
		return nil, err
	}
	o, lasts := v.outline(g, m)
	if lasts {
		v.s.known.put(target.Digest, o)
	}
	return o, nil
}

// outline returns that of a graph, and whether it holds for other moments too.
func (v *view) outline(g *graph, m matcher) (*outline, bool) {
	o := &outline{
		digests: make([]digest.Digest, len(g.nodes)), sizes: make([]int64, len(g.nodes)),
		instances: v.instances(g),
	}
	lasts := true
	for i, n := range g.nodes {
		o.digests[i], o.sizes[i] = n.desc.Digest, -1
		if n.present {
			o.sizes[i] = n.size
			o.size += n.size
		}
		switch n.role {
		case image.RoleLayer, image.RoleOpaque:
		default: // what is not understood may be one day
			lasts = lasts && (!n.present || n.facts != nil)
		}
	}
	o.preferred = preferred(o.instances, m)
	return o, lasts
}

// holds reports whether the same blobs are there.
func (v *view) holds(o *outline) (bool, error) {
	for i, d := range o.digests {
		size, err := v.sizeOf(d)
		if err != nil || size != o.sizes[i] {
			return false, err
		}
	}
	return true, nil
}

// bytes is about how much memory an outline takes.
func (o *outline) bytes() int {
	return 256 + 112*len(o.digests) + 640*len(o.instances)
}

// outlineBytes is how much memory outlines may take, about.
const outlineBytes = 32 << 20

// outlines keeps those of some of the images that were listed last. The zero value is empty
// and ready for use, by several at once.
type outlines struct {
	mu    sync.RWMutex
	known map[digest.Digest]*outline
	bytes int
	full  uint // how often there was no room
}

func (c *outlines) get(target digest.Digest) *outline {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[target]
}

// put keeps an outline. Once there is no room only some are kept, each in the place of any
// others: to list more images than there is room for must not throw out all.
func (c *outlines) put(target digest.Digest, o *outline) {
	size := o.bytes()
	if size > outlineBytes/64 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[digest.Digest]*outline{}
	}
	old := c.known[target]
	if old == nil && c.bytes+size > outlineBytes {
		if c.full++; c.full%16 != 0 {
			return
		}
	}
	if old != nil {
		c.bytes -= old.bytes()
	}
	c.known[target] = o
	c.bytes += size
	for other, old := range c.known {
		if c.bytes <= outlineBytes {
			break
		}
		if other != target {
			delete(c.known, other)
			c.bytes -= old.bytes()
		}
	}
}

// seen notes the sizes of blobs that were found in a view, so far as others do not take
// their places: many images have the same layers.
type seen [1 << 12]struct {
	digest digest.Digest
	size   int64
}

// at returns where a digest would be noted: it has its place by its first characters.
func (s *seen) at(d digest.Digest) int {
	const begin = len("sha256:")
	if len(d) < begin+8 {
		return 0
	}
	h := 0
	for i := begin; i < begin+8; i++ {
		h = h*31 + int(d[i])
	}
	return h & (len(s) - 1)
}

func (s *seen) get(d digest.Digest) (int64, bool) {
	if s == nil {
		return 0, false
	}
	found := &s[s.at(d)]
	return found.size, found.digest == d && d != ""
}

func (s *seen) put(d digest.Digest, size int64) {
	if s != nil {
		at := s.at(d)
		s[at].digest, s[at].size = d, size
	}
}
