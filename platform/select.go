package platform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotations on the entries of an index. BuildKit marks attestations by the
// first, containers/image marks zstd instances by the second.
const (
	annotationReferenceType  = "vnd.docker.reference.type"
	referenceTypeAttestation = "attestation-manifest"
	annotationZstd           = "io.github.containers.compression.zstd"
)

// Select returns the positions of the entries that serve the operation for the
// platform asked for, in the order of the operation's row in the table: the first
// is the one to take where one is wanted. Asked nil means that none is asked for.
// The result is never empty without an error.
//
// Of an entry only its platform and annotations are looked at. None that serves
// is errdefs.ErrNotFound, and the text lists the platforms that are there; what
// Matcher refuses is errdefs.ErrInvalidArgument. Select does not change its
// arguments and takes O(n log n) for n different platforms.
func Select(op Operation, asked *ocispec.Platform, entries []ocispec.Descriptor, opts Options) ([]int, error) {
	r, err := op.rule()
	if err != nil {
		return nil, err
	}
	asked = r.orHost(asked, opts)
	m, err := r.matcher(asked, opts)
	if err != nil {
		return nil, err
	}
	groups := slices.DeleteFunc(groupByPlatform(entries), func(g group) bool { return !m.Match(g.platform) })
	if len(groups) == 0 {
		return nil, notFound(asked, entries)
	}
	if r.order == document {
		all := concat(groups)
		slices.Sort(all)
		return all, nil
	}
	slices.SortFunc(groups, func(a, b group) int { return compare(m, a, b) })
	chosen := make([]int, 0, len(entries))
	for len(groups) > 0 {
		// Groups of one rank differ only in spelling: their entries mix.
		n := 1
		for n < len(groups) && compare(m, groups[0], groups[n]) == 0 {
			n++
		}
		rank := concat(groups[:n])
		slices.Sort(rank)
		if r.order == rankedThenZstd {
			slices.SortStableFunc(rank, func(i, j int) int {
				return byCompression(entries[i], entries[j], opts)
			})
		}
		chosen = append(chosen, rank...)
		groups = groups[n:]
	}
	return chosen, nil
}

// group holds the positions of all entries with the same platform as written, so
// that a platform is matched once however often it is there.
type group struct {
	platform  ocispec.Platform
	positions []int
}

// groupByPlatform leaves attestations out.
func groupByPlatform(entries []ocispec.Descriptor) []group {
	type key struct{ os, architecture, variant, version, features string }
	var groups []group
	at := make(map[key]int)
	for i, e := range entries {
		if attestation(e) {
			continue
		}
		var p ocispec.Platform
		if e.Platform != nil {
			p = *e.Platform
		}
		k := key{p.OS, p.Architecture, p.Variant, p.OSVersion, strings.Join(p.OSFeatures, "\x00")}
		n, ok := at[k]
		if !ok {
			n = len(groups)
			at[k] = n
			groups = append(groups, group{platform: p})
		}
		groups[n].positions = append(groups[n].positions, i)
	}
	return groups
}

func compare(m platforms.MatchComparer, a, b group) int {
	switch {
	case m.Less(a.platform, b.platform):
		return -1
	case m.Less(b.platform, a.platform):
		return 1
	default:
		return 0
	}
}

func concat(groups []group) []int {
	var all []int
	for _, g := range groups {
		all = append(all, g.positions...)
	}
	return all
}

func byCompression(a, b ocispec.Descriptor, opts Options) int {
	switch {
	case zstd(a) == zstd(b):
		return 0
	case zstd(a) != opts.PreferGzip:
		return -1
	default:
		return 1
	}
}

func zstd(e ocispec.Descriptor) bool { return e.Annotations[annotationZstd] == "true" }

func attestation(e ocispec.Descriptor) bool {
	return e.Annotations[annotationReferenceType] == referenceTypeAttestation
}

// listed is how many platforms an error names.
const listed = 32

// notFound names what was asked for and what is there, as written.
func notFound(asked *ocispec.Platform, entries []ocispec.Descriptor) error {
	var there []string
	unnamed := 0
	seen := make(map[string]bool)
	for _, e := range entries {
		switch {
		case attestation(e) || e.Platform != nil && unknown(*e.Platform):
		case e.Platform == nil || missing(*e.Platform):
			unnamed++
		default:
			if s := printable(*e.Platform); !seen[s] {
				seen[s] = true
				there = append(there, s)
			}
		}
	}
	if n := len(there) - listed; n > 0 {
		there = append(there[:listed], fmt.Sprintf("and %d more", n))
	}
	if unnamed > 0 {
		there = append(there, fmt.Sprintf("%d without a platform", unnamed))
	}
	if len(there) == 0 {
		there = []string{"none"}
	}
	wanted := "any platform"
	if asked != nil {
		wanted = printable(*asked)
	}
	return fmt.Errorf("no instance for %s (there are: %s): %w", wanted, strings.Join(there, ", "), errdefs.ErrNotFound)
}
