package platform

import (
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Everything here takes the asked platform canonical and the others as written.

// canonical normalises a platform the same way on every host:
// platforms.Normalize takes a missing operating system for that of the process.
func canonical(p ocispec.Platform) ocispec.Platform {
	if p.OS == "" {
		p.OS = "linux"
	}
	return platforms.Normalize(p)
}

// missing reports whether there is no platform at all.
func missing(p ocispec.Platform) bool { return p.OS == "" && p.Architecture == "" }

// Unknown reports whether a platform is declared to be none, by the operating system or
// architecture "unknown" in any case, as BuildKit does for manifests that are not images.
// One that is empty is not.
func Unknown(p ocispec.Platform) bool { return unknown(p) }

func unknown(p ocispec.Platform) bool {
	return strings.EqualFold(p.OS, "unknown") || strings.EqualFold(p.Architecture, "unknown")
}

// only is platforms.Only for every variant. That one counts a variant's number
// down to one and keeps each step, so that "v999999999" would fill the memory;
// and of arm64 variants that it does not know it matches none, not even the same.
// A variant beyond its ladders is compatible with itself.
func only(asked ocispec.Platform) platforms.MatchComparer {
	counted := asked.Architecture == "amd64" || asked.Architecture == "arm"
	if counted && len(asked.Variant) > len("v9") {
		return platforms.OnlyStrict(asked)
	}
	m := platforms.Only(asked)
	if !m.Match(asked) {
		return platforms.OnlyStrict(asked)
	}
	return m
}

// exceptUnknown is a matcher of containerd/platforms for platforms as written.
type exceptUnknown struct {
	platforms.MatchComparer
	builds builds
}

func strict(asked ocispec.Platform, _ Options) platforms.MatchComparer {
	return exceptUnknown{MatchComparer: platforms.OnlyStrict(asked)}
}

func compatible(asked ocispec.Platform, _ Options) platforms.MatchComparer {
	return exceptUnknown{MatchComparer: only(asked)}
}

func copySeveral(asked ocispec.Platform, opts Options) platforms.MatchComparer {
	return exceptUnknown{MatchComparer: platforms.OnlyStrict(asked), builds: newBuilds(asked, opts)}
}

func (m exceptUnknown) Match(p ocispec.Platform) bool {
	return !unknown(p) && m.MatchComparer.Match(canonical(p)) && m.builds.match(p.OSVersion)
}

func (m exceptUnknown) Less(a, b ocispec.Platform) bool {
	return m.MatchComparer.Less(canonical(a), canonical(b))
}

// anything matches all but the unknown.
type anything struct {
	prefer platforms.MatchComparer
}

func (m anything) Match(p ocispec.Platform) bool { return !unknown(p) }

func (m anything) Less(a, b ocispec.Platform) bool {
	return m.prefer.Less(canonical(a), canonical(b))
}

// orUnsaid matches what inner does, and after it platforms that do not say their
// variant: those by operating system and architecture alone. Configs written
// before variants were recorded have none, and the default that normalising
// gives them is a guess.
type orUnsaid struct {
	inner platforms.MatchComparer
	asked ocispec.Platform
}

func classic(asked ocispec.Platform, opts Options) platforms.MatchComparer {
	return orUnsaid{inner: compatible(asked, opts), asked: asked}
}

func (m orUnsaid) Match(p ocispec.Platform) bool {
	if m.inner.Match(p) {
		return true
	}
	c := canonical(p)
	return p.Variant == "" && !unknown(p) && c.OS == m.asked.OS && c.Architecture == m.asked.Architecture
}

func (m orUnsaid) Less(a, b ocispec.Platform) bool {
	ma, mb := m.inner.Match(a), m.inner.Match(b)
	if ma && mb {
		return m.inner.Less(a, b)
	}
	return ma
}
