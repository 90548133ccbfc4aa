package platform

import (
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// oneInstance is the matcher of CopyOne.
type oneInstance struct {
	asked  ocispec.Platform
	only   platforms.MatchComparer
	builds builds
	others bool // other architectures too
}

func copyOne(asked ocispec.Platform, opts Options) platforms.MatchComparer {
	return oneInstance{asked: asked, only: only(asked), builds: newBuilds(asked, opts), others: opts.Compatible}
}

func (m oneInstance) Match(p ocispec.Platform) bool {
	if missing(p) {
		return true
	}
	v := m.view(p)
	return !unknown(p) && (m.others || m.same(v)) && m.only.Match(v) && m.builds.match(v.OSVersion)
}

func (m oneInstance) Less(a, b ocispec.Platform) bool {
	if missing(a) || missing(b) {
		return !missing(a)
	}
	va, vb := m.view(a), m.view(b)
	if m.same(va) != m.same(vb) {
		return m.same(va)
	}
	if c := m.builds.compare(va.OSVersion, vb.OSVersion); c != 0 {
		return c < 0
	}
	if variantUnsaid(a) != variantUnsaid(b) {
		return variantUnsaid(b)
	}
	return m.only.Less(va, vb)
}

// view is the platform as it is compared: a variant that is not said may be the
// one asked for.
func (m oneInstance) view(p ocispec.Platform) ocispec.Platform {
	v := canonical(p)
	if m.same(v) && variantUnsaid(p) {
		v.Variant = m.asked.Variant
	}
	return v
}

func (m oneInstance) same(v ocispec.Platform) bool { return v.Architecture == m.asked.Architecture }

// variantUnsaid reports whether a platform as written leaves its variant open.
// Two aliases say it in the architecture.
func variantUnsaid(p ocispec.Platform) bool {
	return p.Variant == "" && !strings.EqualFold(p.Architecture, "armhf") && !strings.EqualFold(p.Architecture, "armel")
}
