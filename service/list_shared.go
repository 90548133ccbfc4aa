package service

import "github.com/opencontainers/go-digest"

// sharing tells which blobs several images have, and how much of each image they are. It
// is nil where nobody has asked.
type sharing map[digest.Digest]*shared

// shared is a blob that is there.
type shared struct {
	size int64
	by   []digest.Digest // the targets of the images that have it
}

// add notes the blobs of an image.
func (s sharing) add(g *graph) {
	if s == nil {
		return
	}
	target := g.nodes[0].desc.Digest
	for _, n := range g.nodes {
		if !n.present {
			continue
		}
		b := s[n.desc.Digest]
		if b == nil {
			b = &shared{size: n.size}
			s[n.desc.Digest] = b
		}
		b.by = append(b.by, target)
	}
}

// tell sets how much each image shares with others.
func (s sharing) tell(all []Summary) {
	if s == nil {
		return
	}
	sizes := map[digest.Digest]int64{}
	for _, b := range s {
		if len(b.by) < 2 {
			continue
		}
		for _, target := range b.by {
			sizes[target] += b.size
		}
	}
	for i := range all {
		all[i].Shared = sizes[all[i].ID]
	}
}
