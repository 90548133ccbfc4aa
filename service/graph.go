package service

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
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
	// only says of which platforms manifests are looked into; nil: of all. Nothing is known
	// of the others but that they are there.
	only    platforms.Matcher
	outline store.Outline // what the store knew of it, as long as the view; nil: nothing
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
	held     store.Facts  // what facts points at
	children []*node      // in document order
}

const (
	// few is how many nodes are found faster without a map.
	few = 24
	// slab is how many nodes are made at once.
	slab = 16
)

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

// poolSlabs is how many slabs a graph may have that is used again.
const poolSlabs = 64

// borrow returns a graph to be used until it is given back: nothing may point at its nodes
// then.
func (s *Service) borrow() *graph {
	if g, ok := s.graphs.Get().(*graph); ok {
		return g
	}
	return &graph{}
}

func (s *Service) giveBack(g *graph) {
	g.only, g.outline = nil, nil
	if len(g.slabs) <= poolSlabs {
		s.graphs.Put(g)
	}
}

// walk has a graph be the one below a target, whatever it was before.
func (v *view) walk(g *graph, target ocispec.Descriptor) error {
	g.nodes, g.todo = g.nodes[:0], g.todo[:0]
	var err error
	if g.outline, err = v.outlineOf(target.Digest); err != nil {
		return err
	}
	v.below = g.outline
	defer func() { v.below = nil }()
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
	case depth(role) > depth(n.role): // it is more than it was met as
		if n.role = role; role == image.RoleIndex {
			n.lists = parent.lists + 1
		}
	default:
		return n, nil
	}
	if err := v.learn(g, n); err != nil {
		return nil, fmt.Errorf("look for %s: %w", desc.Digest, err)
	}
	if n.facts != nil && len(n.facts.Edges) > 0 && depth(n.role) == inside {
		g.todo = append(g.todo, n)
	}
	return n, nil
}

// How deep is looked into what has a role, whatever else it may be.
const (
	outside   = iota // whether it is there
	described        // and what is known of it
	inside           // and what is below it
)

func depth(role image.Role) int {
	switch role {
	case image.RoleIndex, image.RoleManifest, image.RoleAttestation:
		return inside
	case image.RoleConfig:
		return described
	case image.RoleLayer, image.RoleOpaque:
	}
	return outside
}

// look finds out whether a node is present.
func (v *view) look(n *node) error {
	if n.lists > v.s.opts.Limits.GraphDepth {
		return nil // nothing that deep was ever let in
	}
	size, err := v.sizeOf(n.desc.Digest)
	if err == nil && size >= 0 {
		n.present, n.size = true, size
	}
	return err
}

// sizeOf returns the size of a blob, or -1 if it is not there.
func (v *view) sizeOf(d digest.Digest) (int64, error) {
	if size, ok := v.seen.get(d); ok {
		return size, nil
	}
	size, err := v.blobSize(d)
	switch {
	case err == nil:
		v.seen.put(d, size)
		return size, nil
	case errdefs.IsNotFound(err), errdefs.IsNotImplemented(err): // an algorithm that nobody has
		return -1, nil
	}
	return 0, err
}

func (v *view) blobSize(d digest.Digest) (int64, error) {
	switch {
	case v.below != nil:
		return v.below.Size(d)
	case v.survey != nil:
		return v.survey.Size(d)
	}
	blob, err := v.Blob(d)
	return blob.Size, err
}

// outlineOf returns what the store knows of all that is below a target, or nil: then each
// digest is looked up by itself.
func (v *view) outlineOf(target digest.Digest) (store.Outline, error) {
	outliner, ok := v.NameReader.(store.Outliner)
	if !ok {
		return nil, nil //nolint:nilnil // said above
	}
	o, err := outliner.Outline(target)
	if errdefs.IsDataLoss(err) {
		v.s.opts.Logger.Warn("what is known of an image is damaged, but not in each place; fsck repairs it", "target", target, "error", err)
		return nil, nil //nolint:nilnil // said above
	}
	if errdefs.IsNotFound(err) || errdefs.IsNotImplemented(err) { // an algorithm that nobody has
		return nil, nil //nolint:nilnil // said above
	}
	return o, err
}

func (v *view) factsOf(d digest.Digest) (store.Facts, error) {
	if v.below != nil {
		return v.below.Facts(d)
	}
	return v.Facts(d)
}

// platformOf returns the platform that the facts of a manifest have; nil: none.
func (v *view) platformOf(d digest.Digest) (*ocispec.Platform, error) {
	if v.below != nil {
		return v.below.Platform(d)
	}
	facts, err := v.Facts(d)
	return facts.Platform, err
}

// learn finds out what is known of a node that is present.
func (v *view) learn(g *graph, n *node) error {
	if !n.present || depth(n.role) == outside {
		return nil
	}
	if g.only != nil && n.role == image.RoleManifest {
		p, err := v.platformOf(n.desc.Digest)
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		if p != nil && !g.only.Match(*p) {
			return nil
		}
	}
	facts, err := v.factsOf(n.desc.Digest)
	switch {
	case err == nil:
		n.held = facts
		n.facts = &n.held
	case !errdefs.IsNotFound(err):
		return err
	}
	return nil
}
