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
func (s sharing) add(o *outline) {
	if s == nil {
		return
	}
	target := o.digests[0]
	for i, d := range o.digests {
		if o.sizes[i] < 0 {
			continue
		}
		b := s[d]
		if b == nil {
			b = &shared{size: o.sizes[i]}
			s[d] = b
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
