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
	todo  []*node // that have children
	at    map[digest.Digest]*node
	slabs [][]node // what nodes are made of
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
	held     store.Facts  // what facts points at, if it is the node's own
	children []*node      // in document order
}

const (
	// few is how many nodes are found faster without a map.
	few = 24
	// slab is how many nodes are made at once.
	slab = 16
)

// large is the size in bytes from which on a blob, which may be in a file then, is looked
// for once only in a view that notes what it has seen.
const large = 64 << 10

// find returns the node of a digest, or nil.
func (g *graph) find(d digest.Digest) *node {
	if len(g.nodes) > few {
		return g.at[d]
	}
	for _, n := range g.nodes {
		if n.desc.Digest == d {
			return n
		}
	}
	return nil
}

// add adds a node, whose digest is new.
func (g *graph) add(desc ocispec.Descriptor, role image.Role, parent *node) *node {
	i := len(g.nodes)
	if i/slab == len(g.slabs) {
		g.slabs = append(g.slabs, make([]node, slab))
	}
	n := &g.slabs[i/slab][i%slab]
	*n = node{desc: desc, role: role, parent: parent, children: n.children[:0]}
	if parent != nil {
		n.lists = parent.lists
	}
	if role == image.RoleIndex {
		n.lists++
	}
	g.nodes = append(g.nodes, n)
	switch {
	case len(g.nodes) == few+1:
		g.at = make(map[digest.Digest]*node, 2*few)
		for _, n := range g.nodes {
			g.at[n.desc.Digest] = n
		}
	case len(g.nodes) > few:
		g.at[desc.Digest] = n
	}
	return n
}

// graph walks down from a target without reading a blob.
func (v *view) graph(target ocispec.Descriptor) (*graph, error) {
	g := &graph{}
	return g, v.walk(g, target)
}

// walk has a graph be the one below a target, whatever it was before.
func (v *view) walk(g *graph, target ocispec.Descriptor) error {
	g.nodes, g.todo = g.nodes[:0], g.todo[:0]
	role := image.RoleManifest
	if image.IsList(target.MediaType) {
		role = image.RoleIndex
	}
	if _, err := v.enter(g, nil, target, role); err != nil {
		return err
	}
	for i := 0; i < len(g.todo); i++ { // it grows
		n := g.todo[i]
		if i%256 == 0 && v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		if cap(n.children) < len(n.facts.Edges) {
			n.children = make([]*node, 0, len(n.facts.Edges))
		}
		for i := range n.facts.Edges {
			e := &n.facts.Edges[i]
			child, err := v.enter(g, n, e.Desc, e.Role)
			if err != nil {
				return err
			}
			n.children = append(n.children, child)
		}
		if d := n.facts.Config; d != "" {
			n.infer(g.find(d))
		}
	}
	return nil
}

// enter returns the node of a descriptor, which it adds where it is new.
func (v *view) enter(g *graph, parent *node, desc ocispec.Descriptor, role image.Role) (*node, error) {
	n := g.find(desc.Digest)
	switch {
	case n == nil:
		if limit := v.s.opts.Limits.GraphNodes; len(g.nodes) >= limit {
			return nil, fmt.Errorf("the graph has more than %d descriptors: %w", limit, errdefs.ErrResourceExhausted)
		}
		n = g.add(desc, role, parent)
		if err := v.look(n); err != nil {
			return nil, fmt.Errorf("look for %s: %w", desc.Digest, err)
		}
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
	if blob, there := v.seen[n.desc.Digest]; there {
		n.present, n.size = true, blob
		return nil
	}
	blob, err := v.Blob(n.desc.Digest)
	switch {
	case err == nil:
		n.present, n.size = true, blob.Size
		if v.seen != nil && blob.Size > large {
			v.seen[n.desc.Digest] = blob.Size
		}
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
	var err error
	n.facts, err = v.known(n.desc.Digest, n.role)
	return err
}

// infer adds to what is known of a manifest what its config says, if that is there.
func (n *node) infer(config *node) {
	if config == nil || config.facts == nil || image.IsDocument(config.facts.MediaType) {
		return
	}
	n.held = *n.facts
	n.held.Platform, n.held.Created = config.facts.Platform, config.facts.Created
	n.facts = &n.held
}
