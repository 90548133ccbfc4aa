package service

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Document finds the list or manifest that a reference means, as Resolve does: for a
// config it is the first manifest that has it. One that is not there is ErrNotFound.
func (s *Service) Document(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	p, err := s.pushSubject(ctx, reference)
	return p.image, err
}

// documentOf returns the list or manifest that was meant, as what refers to it has it.
func (v *view) documentOf(r Resolution) (ocispec.Descriptor, error) {
	desc := r.Record.Target
	if r.Digest != desc.Digest {
		g, err := v.graph(desc)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		n := g.find(r.Digest)
		if r.Matched == ByConfig {
			n = g.manifestOf(r.Digest)
		}
		if n == nil {
			return ocispec.Descriptor{}, notInStore(r)
		}
		desc = n.desc
	}
	switch _, err := v.Blob(desc.Digest); {
	case errdefs.IsNotFound(err), errdefs.IsNotImplemented(err):
		return ocispec.Descriptor{}, notInStore(r)
	case err != nil:
		return ocispec.Descriptor{}, err
	}
	return desc, nil
}

func notInStore(r Resolution) error {
	return fmt.Errorf("%s in %s is not in the store: %w", r.Digest, Familiar(r.Record), errdefs.ErrNotFound)
}

// manifestOf returns the first manifest that has a config; nil if there is none.
func (g *graph) manifestOf(config digest.Digest) *node {
	for _, n := range g.nodes {
		if n.facts != nil && n.facts.Config == config {
			return n
		}
	}
	return nil
}
