package copy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// leavesOf returns the entries of the lists of a graph that are not lists
// themselves, in document order and each list once. An entry without platform in
// a nested list has that of the list's own entry.
func leavesOf(lists *image.Graph) []ocispec.Descriptor {
	var leaves []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	var visit func(n *image.Node, inherited *ocispec.Platform)
	visit = func(n *image.Node, inherited *ocispec.Platform) {
		if n == nil || n.Doc == nil || seen[n.Desc.Digest] {
			return
		}
		seen[n.Desc.Digest] = true
		for _, e := range n.Doc.Edges() {
			if e.Desc.Platform == nil {
				e.Desc.Platform = inherited
			}
			if e.Role == image.RoleIndex {
				visit(lists.Node(e.Desc.Digest), e.Desc.Platform)
				continue
			}
			leaves = append(leaves, e.Desc)
		}
	}
	visit(lists.Root, nil)
	return leaves
}

// choose returns the digests of the instances to be copied: those of the asked
// platforms, those asked for by digest, and the attestations of them all.
func (l *loader) choose(lists *image.Graph) (map[digest.Digest]bool, error) {
	chosen := map[digest.Digest]bool{}
	leaves := leavesOf(lists)
	for _, p := range l.opts.Selection.Platforms {
		order, err := platform.Select(platform.CopySeveral, &p, leaves, l.opts.Selection.Match)
		if err != nil {
			return nil, fmt.Errorf("choosing instances of %s: %w", l.Root.Digest, err)
		}
		for _, i := range order {
			chosen[leaves[i].Digest] = true
		}
	}
	if err := l.chooseFreely(leaves, chosen); err != nil {
		return nil, fmt.Errorf("choosing instances of %s: %w", l.Root.Digest, err)
	}
	for _, d := range l.opts.Selection.Instances {
		if err := chooseDigest(lists, d, chosen); err != nil {
			return nil, err
		}
	}
	for _, leaf := range leaves {
		if of, ok := image.AttestationOf(leaf); ok && chosen[of] {
			chosen[leaf.Digest] = true
		}
	}
	return chosen, nil
}

// chooseFreely chooses what Selection.Choose says.
func (l *loader) chooseFreely(leaves []ocispec.Descriptor, chosen map[digest.Digest]bool) error {
	if l.opts.Selection.Choose == nil {
		return nil
	}
	positions, err := l.opts.Selection.Choose(slices.Clone(leaves))
	if err != nil {
		return err
	}
	for _, i := range positions {
		if i < 0 || i >= len(leaves) {
			return fmt.Errorf("position %d of %d entries was chosen: %w", i, len(leaves), errdefs.ErrInvalidArgument)
		}
		chosen[leaves[i].Digest] = true
	}
	return nil
}

// chooseDigest chooses the instance of that digest, or all of a nested list.
func chooseDigest(lists *image.Graph, d digest.Digest, chosen map[digest.Digest]bool) error {
	start := lists.Node(d)
	switch {
	case start != nil && start.Missing:
		return fmt.Errorf("list %s of %s is missing at the source: %w", d, lists.Root.Desc.Digest, errdefs.ErrUnavailable)
	case start == nil:
		return fmt.Errorf("no instance %s in %s (there are: %s): %w", d, lists.Root.Desc.Digest, listDigests(lists), errdefs.ErrNotFound)
	}
	seen := map[digest.Digest]bool{d: true}
	for queue := []*image.Node{start}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		if n.Doc == nil {
			chosen[n.Desc.Digest] = n.Role != image.RoleIndex
			continue
		}
		for _, e := range n.Doc.Edges() {
			if !seen[e.Desc.Digest] {
				seen[e.Desc.Digest] = true
				queue = append(queue, lists.Node(e.Desc.Digest))
			}
		}
	}
	return nil
}

// listDigests names the entries of a graph of lists, the first few of them.
func listDigests(lists *image.Graph) string {
	const most = 16
	var names []string
	for _, n := range lists.Nodes()[1:] {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, n.Desc.Digest.String()+platformSuffix(n.Desc.Platform))
	}
	return strings.Join(names, ", ")
}

// platformSuffix is " (linux/arm64)", or nothing for no platform.
func platformSuffix(p *ocispec.Platform) string {
	if s := platformOf(p); s != "" {
		return " (" + s + ")"
	}
	return ""
}

// platformOf prints a platform, or nothing for none and for that of attestations.
func platformOf(p *ocispec.Platform) string {
	if p == nil || (p.OS == "" && p.Architecture == "") || (p.OS == "unknown" && p.Architecture == "unknown") {
		return ""
	}
	return platform.Format(*p)
}
