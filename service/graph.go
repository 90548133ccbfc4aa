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
	todo  []*node // that have children
}

// node is one descriptor in a graph.
type node struct {
	desc ocispec.Descriptor
	role image.Role
	// lists is the number of lists from the target down to this node, itself included.
	lists    int
	parent   *node // the document in which it was first met; nil for the target
	present  bool
	size     int64        // of what is present, in bytes
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
	for i := 0; i < len(g.todo); i++ { // it grows
		n := g.todo[i]
		if i%256 == 0 && v.ctx.Err() != nil {
			return nil, v.ctx.Err()
		}
		n.children = make([]*node, 0, len(n.facts.Edges))
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
	n := g.at[desc.Digest]
	switch {
	case n == nil:
		if limit := v.s.opts.Limits.GraphNodes; len(g.nodes) >= limit {
			return nil, fmt.Errorf("the graph has more than %d descriptors: %w", limit, errdefs.ErrResourceExhausted)
		}
		n = &node{desc: desc, role: role, parent: parent}
		if parent != nil {
			n.lists = parent.lists
		}
		if role == image.RoleIndex {
			n.lists++
		}
		if err := v.look(n); err != nil {
			return nil, fmt.Errorf("look for %s: %w", desc.Digest, err)
		}
		g.nodes, g.at[desc.Digest] = append(g.nodes, n), n
	case n.role == image.RoleLayer && role != image.RoleLayer:
		n.role = role // it is more than a layer
	default:
		return n, nil
	}
	if err := v.learn(n); err != nil {
		return nil, fmt.Errorf("look for %s: %w", desc.Digest, err)
	}
	if n.facts != nil && len(n.facts.Edges) > 0 {
		g.todo = append(g.todo, n)
	}
	return n, nil
}

// look finds out whether a node is present.
func (v *view) look(n *node) error {
	if n.lists > v.s.opts.Limits.GraphDepth {
		return nil // nothing that deep was ever let in
	}
	blob, err := v.Blob(n.desc.Digest)
	switch {
	case err == nil:
		n.present, n.size = true, blob.Size
	case !errdefs.IsNotFound(err) && !errdefs.IsNotImplemented(err): // an algorithm that nobody has
		return err
	}
	return nil
}

// learn finds out what is known of a node that is present. Of a layer nothing is.
func (v *view) learn(n *node) error {
	if !n.present || n.role == image.RoleLayer {
		return nil
	}
	facts, err := v.Facts(n.desc.Digest)
	switch {
	case err == nil:
		n.facts = &facts
	case !errdefs.IsNotFound(err):
		return err
	}
	return nil
}
