package service

import (
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// known returns what the bytes of a document or config that is present say, or nil if
// nothing is known: of a manifest not what its config says.
func (v *view) known(d digest.Digest, role image.Role) (*store.Facts, error) {
	f := v.s.known.get(d)
	if f != nil && (role == image.RoleConfig || image.IsDocument(f.MediaType)) {
		return f, nil
	}
	found, err := v.Facts(d)
	if errdefs.IsNotFound(err) {
		return nil, nil //nolint:nilnil // said above
	}
	if err != nil {
		return nil, err
	}
	if found.Config != "" {
		found.Platform, found.Created = nil, time.Time{}
	}
	v.s.known.put(d, &found)
	return &found, nil
}

const (
	knownBytes = 16 << 20 // of memory, about
	factsBytes = 640      // that facts take, about
	edgeBytes  = 288      // that each edge takes beside
)

// factsCache keeps some of the facts that were asked for last. They follow from the bytes of
// their digests and so stay right; whether these are there is asked each time. The zero value
// is empty and ready for use.
type factsCache struct {
	mu    sync.RWMutex
	facts map[digest.Digest]*store.Facts
	bytes int
	full  uint // how often there was no room
}

func (c *factsCache) get(d digest.Digest) *store.Facts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.facts[d]
}

// put keeps facts. Once there is no room only some are kept, each in the place of any
// others: who walks over everything must not throw out everything.
func (c *factsCache) put(d digest.Digest, f *store.Facts) {
	size := sizeOf(f)
	if size > knownBytes/64 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.facts == nil {
		c.facts = map[digest.Digest]*store.Facts{}
	}
	if c.bytes+size > knownBytes {
		if c.full++; c.full%16 != 0 {
			return
		}
	}
	if old := c.facts[d]; old != nil {
		c.bytes -= sizeOf(old)
	}
	c.facts[d] = f
	c.bytes += size
	for other, old := range c.facts {
		if c.bytes <= knownBytes {
			break
		}
		if other != d {
			delete(c.facts, other)
			c.bytes -= sizeOf(old)
		}
	}
}

func sizeOf(f *store.Facts) int {
	size := factsBytes + edgeBytes*len(f.Edges)
	for i := range f.Edges {
		desc := &f.Edges[i].Desc
		size += len(desc.Data)
		for _, url := range desc.URLs {
			size += len(url)
		}
		for key, value := range desc.Annotations {
			size += len(key) + len(value) + 64
		}
	}
	return size
}
