package copy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// place is a place in memory: what the engine does to it can be counted, and it
// can be told to lack capabilities, to fail and to stall.
type place struct {
	testimage.Store
	root      ocispec.Descriptor
	referrers map[digest.Digest][]ocispec.Descriptor
	names     map[string]ocispec.Descriptor
	sigs      map[digest.Digest][]transport.Signature
	tooMany   bool // referrers, beside those it has
	accepts   transport.Accepts
	complete  map[digest.Digest]bool
	fail      func(transport.Node) error // asked before a Put

	mu      sync.Mutex
	puts    []transport.Node
	opened  []digest.Digest
	asked   int
	commits [][]transport.Naming
}

func (p *place) Root(context.Context) (ocispec.Descriptor, error) {
	if p.root.Digest == "" {
		return ocispec.Descriptor{}, fmt.Errorf("no image: %w", errdefs.ErrNotFound)
	}
	return p.root, nil
}

func (p *place) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	p.mu.Lock()
	p.opened = append(p.opened, desc.Digest)
	p.mu.Unlock()
	return p.Store.Open(ctx, desc, from)
}

func (p *place) Referrers(_ context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	if p.tooMany {
		return p.referrers[subject], fmt.Errorf("more: %w", errdefs.ErrResourceExhausted)
	}
	return p.referrers[subject], nil
}

func (p *place) Names(_ context.Context, yield func(string) bool) error {
	for name := range p.names {
		if !yield(name) {
			return nil
		}
	}
	return nil
}

func (p *place) Resolve(_ context.Context, name string) (ocispec.Descriptor, error) {
	return p.names[name], nil
}

func (p *place) Signatures(_ context.Context, d digest.Digest) ([]transport.Signature, error) {
	return p.sigs[d], nil
}

func (p *place) PutSignatures(_ context.Context, d digest.Digest, sigs []transport.Signature) error {
	if p.sigs == nil {
		p.sigs = map[digest.Digest][]transport.Signature{}
	}
	p.sigs[d] = sigs
	return nil
}

func (p *place) Accepts() transport.Accepts { return p.accepts }

func (p *place) Has(_ context.Context, n transport.Node) (transport.Have, error) {
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	switch {
	case p.complete[n.Desc.Digest]:
		return transport.Complete, nil
	case p.Get(n.Desc.Digest) != nil:
		return transport.Present, nil
	}
	return transport.Absent, nil
}

func (p *place) Put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	if p.fail != nil {
		if err := p.fail(n); err != nil {
			return transport.Outcome{}, err
		}
	}
	r, err := open(ctx, 0)
	if err != nil {
		return transport.Outcome{}, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return transport.Outcome{}, err
	}
	if err := image.VerifyBytes(data, n.Desc); err != nil {
		return transport.Outcome{}, err
	}
	if err := p.childrenThere(data, n); err != nil {
		return transport.Outcome{}, err
	}
	p.Set(n.Desc.Digest, data)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.puts = append(p.puts, n)
	return transport.Outcome{Action: transport.Copied}, nil
}

// childrenThere demands of a manifest that its children came before it.
func (p *place) childrenThere(data []byte, n transport.Node) error {
	if !image.IsManifest(n.Desc.MediaType) || n.Role == image.RoleLayer {
		return nil
	}
	doc, err := image.Decode(bytes.Clone(data), image.Declared{Descriptor: n.Desc.MediaType}, image.Limits{})
	if err != nil {
		return err
	}
	for _, e := range doc.Edges() {
		if p.Get(e.Desc.Digest) == nil {
			return fmt.Errorf("%s came before its child %s", n.Desc.Digest, e.Desc.Digest)
		}
	}
	return nil
}

func (p *place) Commit(_ context.Context, names []transport.Naming) ([]string, error) {
	p.commits = append(p.commits, slices.Clone(names))
	for _, n := range names {
		switch {
		case n.Subject != "":
			if p.referrers == nil {
				p.referrers = map[digest.Digest][]ocispec.Descriptor{}
			}
			p.referrers[n.Subject] = append(p.referrers[n.Subject], n.Desc)
		case n.Name == "":
			p.root = n.Desc
		default:
			if p.names == nil {
				p.names = map[string]ocispec.Descriptor{}
			}
			p.names[n.Name] = n.Desc
		}
	}
	return nil, nil
}

func (p *place) Close() error { return nil }

var (
	_ transport.Source          = (*place)(nil)
	_ transport.Destination     = (*place)(nil)
	_ transport.SignatureReader = (*place)(nil)
	_ transport.SignatureWriter = (*place)(nil)
	_ transport.Referrers       = (*place)(nil)
	_ transport.Lister          = (*place)(nil)
	_ transport.Presence        = (*place)(nil)
	_ transport.Acceptor        = (*place)(nil)
)

// plain hides the capabilities of a place that is only a destination.
type plain struct{ transport.Destination }

// linux is a Linux platform.
func linux(arch, variant string) ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}
}

// sample is a source with a list of four platforms, two of them attested, a
// referrer of the list and one of an instance, and cosign tags of both.
type sample struct {
	place
	amd64, arm64, armv7, windows ocispec.Descriptor
	attested                     [2]ocispec.Descriptor // of amd64 and arm64
	sbom, instanceSBOM           ocispec.Descriptor
	tag, instanceTag             string
}

func newSample() *sample {
	s := &sample{}
	s.amd64 = s.Image(testimage.Image{Platform: linux("amd64", ""), Layers: 2})
	s.arm64 = s.Image(testimage.Image{Platform: linux("arm64", "v8")})
	s.armv7 = s.Image(testimage.Image{Platform: linux("arm", "v7")})
	s.windows = s.Image(testimage.Image{Platform: ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"}})
	s.attested = [2]ocispec.Descriptor{s.Attestation(s.amd64), s.Attestation(s.arm64)}
	s.root = s.Index(s.amd64, s.arm64, s.armv7, s.windows, s.attested[0], s.attested[1])
	return s
}

// attach adds the referrers and the tags.
func (s *sample) attach() *sample {
	s.sbom = s.Referrer(s.root, "application/spdx+json", "sbom of the list")
	s.instanceSBOM = s.Referrer(s.arm64, "application/spdx+json", "sbom of arm64")
	s.referrers = map[digest.Digest][]ocispec.Descriptor{s.root.Digest: {s.sbom}, s.arm64.Digest: {s.instanceSBOM}}
	s.names = map[string]ocispec.Descriptor{"latest": s.root}
	for _, of := range []ocispec.Descriptor{s.root, s.arm64} {
		tag, desc := s.CosignTag(of, "att")
		s.names[tag] = desc
		s.tag, s.instanceTag = s.instanceTag, tag
	}
	return s
}
