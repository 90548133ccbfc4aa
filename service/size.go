package service

import (
	"context"
	"math"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/platform"
)

// Size returns how many bytes the chosen part of an image has: the lists on the way to the
// instance that Manifest would choose, its manifest, config and layers, each blob once. What
// is not there counts as the document says; what is below an absent document is not known,
// and does not count. If no manifest that serves is there, that of one that is not counts.
// Errors are those of Get.
func (s *Service) Size(ctx context.Context, reference string, asked *ocispec.Platform) (int64, error) {
	var size int64
	err := s.view(ctx, func(v *view) error {
		sub, err := v.subject(reference)
		if err != nil {
			return err
		}
		chosen, err := v.best(sub, sizeRule(anyPresent), asked)
		if err != nil {
			chosen, err = v.best(sub, sizeRule(func(*Instance) bool { return true }), asked)
		}
		if err == nil {
			size = sub.graph.sum(chosen)
		}
		return err
	})
	return size, err
}

func sizeRule(serves func(*Instance) bool) rule {
	return rule{
		op: platform.Manifest, serves: serves, platform: (*Instance).listed,
	}
}

// listed returns what the list says of an instance, or where that says nothing its config.
func (inst *Instance) listed() *ocispec.Platform { return inst.Platform }

func anyPresent(inst *Instance) bool { return inst.Presence != Absent }

// sum returns the size of an instance with the lists above it.
func (g *graph) sum(inst *Instance) int64 {
	size := inst.Total
	for n := g.find(inst.Descriptor.Digest).parent; n != nil; n = n.parent {
		size = plus(size, n.desc.Size)
	}
	return size
}

// plus adds sizes, of which documents can say what they like, without an overflow.
func plus(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// present returns the size of everything in a graph that is there, each blob once.
func (g *graph) present() int64 {
	var size int64
	for _, n := range g.nodes {
		size += n.size
	}
	return size
}
