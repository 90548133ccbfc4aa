package dir

import (
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/transport"
)

// signatures returns the steps to the signatures of the new image, and adds their
// files to keep: those that are named by digest, and those that hide the ones of
// the root before manifest.json is switched and show the new ones after it.
func (p *planner) signatures() (byDigest, hide, show []step, err error) {
	manifests, err := p.manifests()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, d := range manifests {
		before, after := p.signatureSteps(d, p.sigs[d])
		byDigest = slices.Concat(byDigest, before, after)
		p.keepSignatures(d, len(p.sigs[d]))
	}
	root := p.next.desc.Digest
	want := p.sigs[root]
	p.keepSignatures("", len(want))
	hide, show = p.signatureSteps("", want)
	switched := p.current == nil || p.current.desc.Digest != root
	if switched { // what is there, whatever it holds, belongs to the old root
		hide, show = p.replaceSignatures("", want, 0)
	}
	if switched || len(hide) > 0 || len(want) == 0 {
		before, after := p.signatureSteps(root, want)
		byDigest = slices.Concat(byDigest, before, after)
	}
	if switched && len(hide) > 0 && p.current != nil && !slices.Contains(manifests, p.current.desc.Digest) {
		old, err := rootSignatures(p.root, p.current.desc.Digest)
		if err == nil { // else they are not in a state that anybody could read
			before, after := p.signatureSteps(p.current.desc.Digest, old)
			byDigest = slices.Concat(byDigest, before, after)
		}
	}
	return byDigest, hide, show, nil
}

// manifests returns the digests of all manifests and lists of the new image but
// the root. Signatures that were set for something else are an error.
func (p *planner) manifests() ([]digest.Digest, error) {
	root := p.next.desc.Digest
	var found []digest.Digest
	for name := range p.keep {
		if e := parseEntry(name); e.kind == manifestEntry && e.digest != root {
			found = append(found, e.digest)
		}
	}
	slices.Sort(found)
	for _, d := range slices.Sorted(maps.Keys(p.sigs)) {
		if len(p.sigs[d]) > 0 && d != root && !slices.Contains(found, d) {
			return nil, fmt.Errorf("signatures were set for %s, which is no manifest of the image: %w", d, errdefs.ErrFailedPrecondition)
		}
	}
	return found, nil
}

func (p *planner) keepSignatures(d digest.Digest, n int) {
	for i := range n {
		p.keep[signatureName(d, i+1)] = true
	}
}

// signatureSteps returns the steps to the wanted signatures of a manifest, or of
// the root if the digest is empty.
func (p *planner) signatureSteps(d digest.Digest, want []transport.Signature) (hide, show []step) {
	visible := 0
	for visible < len(p.signed[d]) && p.signed[d][visible] == visible+1 {
		visible++
	}
	same := 0
	for same < len(want) && p.holds(signatureName(d, same+1), want[same]) {
		same++
	}
	if visible > same {
		same = 0
	}
	return p.replaceSignatures(d, want, same)
}

// replaceSignatures keeps the first so many signatures, which must be all that can
// be seen or none, and replaces all others. Readers take them from 1 to the first
// that is not there: so the first step hides all of them, and the last one shows
// all.
func (p *planner) replaceSignatures(d digest.Digest, want []transport.Signature, keep int) (hide, show []step) {
	for _, n := range p.signed[d] {
		switch {
		case n == 1 && keep == 0:
			hide = append(hide, remove(signatureName(d, n)))
		case n > len(want):
			show = append(show, remove(signatureName(d, n)))
		}
	}
	for n := len(want); n > keep; n-- {
		show = append(show, write(signatureName(d, n), want[n-1]))
	}
	return hide, show
}

// holds reports whether a file is there with that content. One that cannot be
// read is not: it will be replaced.
func (p *planner) holds(name string, data []byte) bool {
	same, err := holds(p.root, name, data)
	return err == nil && same
}
