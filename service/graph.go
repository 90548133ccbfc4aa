package service

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// graph is what there is below a target at one moment: what is present, and what the
// documents that are present name beside that.
type graph struct {
	nodes []*node // breadth first, each digest once; the target is the first
	at    map[digest.Digest]*node
}

// node is one descriptor in a graph.
type node struct {
	desc ocispec.Descriptor
	role image.Role
	// lists is the number of lists from the target down to this node, itself included.
	lists    int
	parent   *node // the document in which it was first met; nil for the target
	present  bool
	facts    *store.Facts // of a document or config that is present; else nil
	children []*node      // in document order
}

// graph walks down from a target without reading a blob.
func (v *view) graph(target ocispec.Descriptor) (*graph, error) {
	g := &graph{at: map[digest.Digest]*node{}}
	role := image.RoleManifest
	if image.IsList(target.MediaType) {
		role = image.RoleIndex
	}
	if _, err := v.enter(g, nil, target, role); err != nil {
		return nil, err
	}
	for i := 0; i < len(g.nodes); i++ { // it grows
		n := g.nodes[i]
		if i%256 == 0 && v.ctx.Err() != nil {
			return nil, v.ctx.Err()
		}
		if n.facts == nil {
			continue
		}
		for _, e := range n.facts.Edges {
			child, err := v.enter(g, n, e.Desc, e.Role)
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, child)
		}
	}
	return g, nil
}

// enter returns the node of a descriptor, which it adds where it is new.
func (v *view) enter(g *graph, parent *node, desc ocispec.Descriptor, role image.Role) (*node, error) {
	if n := g.at[desc.Digest]; n != nil {
		return n, nil
	}
	n := &node{desc: desc, role: role, parent: parent}
	if parent != nil {
		n.lists = parent.lists
	}
	if role == image.RoleIndex {
		n.lists++
	}
	if limit := v.s.opts.Limits.GraphNodes; len(g.nodes) >= limit {
		return nil, fmt.Errorf("the graph has more than %d descriptors: %w", limit, errdefs.ErrResourceExhausted)
	}
	if err := v.look(n); err != nil {
		return nil, fmt.Errorf("look for %s: %w", desc.Digest, err)
	}
	g.nodes, g.at[desc.Digest] = append(g.nodes, n), n
	return n, nil
}

// look finds out whether a node is present, and what is known of it.
func (v *view) look(n *node) error {
	if n.lists > v.s.opts.Limits.GraphDepth {
		return nil // nothing that deep was ever let in
	}
	_, err := v.Blob(n.desc.Digest)
	switch {
	case errdefs.IsNotFound(err), errdefs.IsNotImplemented(err): // an algorithm that nobody has
		return nil
	case err != nil:
		return err
	}
	n.present = true
	facts, err := v.Facts(n.desc.Digest)
	switch {
	case err == nil:
		n.facts = &facts
	case !errdefs.IsNotFound(err):
		return err
	}
	return nil
}
