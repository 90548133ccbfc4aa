package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Fetch returns the bytes of a document. Walk verifies them against the
// descriptor; a Fetch need not, but must not return more than was asked for.
type Fetch func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)

// Walker reads the graph below a descriptor. Its zero value but for Fetch goes
// into everything, and fails on what is missing.
type Walker struct {
	Fetch  Fetch
	Limits Limits
	// Parallel is the number of documents fetched at once; 0 means 8.
	Parallel int
	// Enter says whether the document at the end of an edge is read; nil means
	// that all are. It is called once for each node, from one goroutine.
	Enter func(n *Node) bool
	// Missing is asked about a document, not the root, that Fetch does not find:
	// nil as its answer leaves the node without document, an error ends the walk.
	// A nil Missing ends it with the error of Fetch. It may be called concurrently.
	Missing func(n *Node, err error) error
	// Budget is what several walks may take together; nil: each takes what Limits
	// allow.
	Budget *Budget
}

// Budget bounds the descriptors and the bytes of documents that several walks, and
// who called them, hold together. It is safe for concurrent use.
type Budget struct {
	nodes, bytes       atomic.Int64
	maxNodes, maxBytes int64
}

// NewBudget returns a budget of GraphNodes and GraphBytes.
func NewBudget(lim Limits) *Budget {
	lim = lim.WithDefaults()
	return &Budget{maxNodes: int64(lim.GraphNodes), maxBytes: lim.GraphBytes}
}

// Take takes so many descriptors and bytes, or none and fails with
// ErrResourceExhausted.
func (b *Budget) Take(nodes int, bytes int64) error {
	if b.nodes.Add(int64(nodes)) > b.maxNodes {
		b.nodes.Add(int64(-nodes))
		return fmt.Errorf("the graph has more than %d descriptors: %w", b.maxNodes, errdefs.ErrResourceExhausted)
	}
	if b.bytes.Add(bytes) > b.maxBytes {
		b.nodes.Add(int64(-nodes))
		b.bytes.Add(-bytes)
		return fmt.Errorf("the documents of the graph together have more than %d bytes: %w", b.maxBytes, errdefs.ErrResourceExhausted)
	}
	return nil
}

// Node is one descriptor in a graph.
type Node struct {
	// Desc is the descriptor as first met, breadth first.
	Desc ocispec.Descriptor
	Role Role
	// Doc is the decoded document; nil for a blob, and for a document that was
	// not entered or is missing.
	Doc Document
	// Missing tells that the document was looked for and is not there.
	Missing bool
	// Parent is the digest of the document in which Desc was met; empty for the
	// root.
	Parent digest.Digest
	// Index is the position among the parent's edges of that role.
	Index int
	// Lists is the number of lists from the root down to this node, itself
	// included if it is one.
	Lists int
}

// Graph is what Walk has read.
type Graph struct {
	Root  *Node
	nodes map[digest.Digest]*Node
	order []*Node
}

// Node returns the node of a digest, or nil.
func (g *Graph) Node(d digest.Digest) *Node { return g.nodes[d] }

// Nodes returns all nodes, breadth first: the root, its children, theirs.
func (g *Graph) Nodes() []*Node { return slices.Clone(g.order) }

// Walk reads the documents from root down, breadth first and each once however
// many ways lead to it. It fails with ErrResourceExhausted beyond the limits on
// depth, nodes and bytes, with ErrDataLoss for bytes that do not match their
// descriptor, and with ErrInvalidArgument where two descriptors give one digest
// different sizes.
func (w Walker) Walk(ctx context.Context, root ocispec.Descriptor) (*Graph, error) {
	r := walk{Walker: w, lim: w.Limits.WithDefaults(), graph: &Graph{nodes: map[digest.Digest]*Node{}}}
	if r.Budget == nil {
		r.Budget = NewBudget(w.Limits)
	}
	role := RoleManifest
	if IsList(root.MediaType) {
		role = RoleIndex
	}
	r.graph.Root = &Node{Desc: root, Role: role}
	if role == RoleIndex {
		r.graph.Root.Lists = 1
	}
	if _, err := ParseDigest(root.Digest.String()); err != nil {
		return nil, fmt.Errorf("root of the image: %w", err)
	}
	level, err := r.add(nil, []*Node{r.graph.Root})
	if err != nil {
		return nil, err
	}
	for len(level) > 0 {
		if err := r.fetch(ctx, level); err != nil {
			return nil, err
		}
		if level, err = r.next(level); err != nil {
			return nil, err
		}
	}
	return r.graph, nil
}

// walk is the state of one Walk.
type walk struct {
	Walker
	lim   Limits
	graph *Graph
}

// next returns the documents to be read after those of this level.
func (r *walk) next(level []*Node) ([]*Node, error) {
	var next []*Node
	for _, n := range level {
		if n.Doc == nil {
			continue
		}
		children := make([]*Node, 0, 8)
		for _, e := range n.Doc.Edges() {
			c := &Node{Desc: e.Desc, Role: e.Role, Index: e.Index, Parent: n.Desc.Digest, Lists: n.Lists}
			if e.Role == RoleIndex {
				c.Lists++
			}
			children = append(children, c)
		}
		docs, err := r.add(n, children)
		if err != nil {
			return nil, err
		}
		next = append(next, docs...)
	}
	return next, nil
}

// add enters nodes into the graph and returns those that are documents to read.
func (r *walk) add(parent *Node, nodes []*Node) ([]*Node, error) {
	var docs []*Node
	for _, n := range nodes {
		n, err := r.enter(parent, n)
		if err != nil {
			return nil, err
		}
		if n != nil && n.isDocument() && (r.Enter == nil || r.Enter(n)) {
			docs = append(docs, n)
		}
	}
	return docs, nil
}

// enter enters one node into the graph. It returns nil for one that is there
// already, unless it was met as a blob and is to be read after all.
func (r *walk) enter(parent *Node, n *Node) (*Node, error) {
	old := r.graph.nodes[n.Desc.Digest]
	if old != nil {
		if err := agree(old, n); err != nil {
			return nil, err
		}
		if old.isDocument() || !n.isDocument() {
			return nil, nil //nolint:nilnil // nothing is new
		}
	}
	if err := r.admit(parent, n); err != nil {
		return nil, err
	}
	if old != nil {
		*old = *n
		return old, nil
	}
	if err := r.Budget.Take(1, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", r.graph.Root.Desc.Digest, err)
	}
	r.graph.nodes[n.Desc.Digest] = n
	r.graph.order = append(r.graph.order, n)
	return n, nil
}

// isDocument reports whether the node was met as a document: a layer of a
// manifest's type is a blob.
func (n *Node) isDocument() bool {
	return IsDocument(n.Desc.MediaType) && n.Role != RoleConfig && n.Role != RoleLayer
}

// agree refuses two descriptors that cannot both be true of one digest.
func agree(old, n *Node) error {
	if old.Desc.Size != n.Desc.Size && old.Desc.Size >= 0 && n.Desc.Size >= 0 {
		return fmt.Errorf("%s has size %d in %s and size %d in %s: %w",
			n.Desc.Digest, old.Desc.Size, old.Parent, n.Desc.Size, n.Parent, errdefs.ErrInvalidArgument)
	}
	if old.isDocument() && n.isDocument() && old.Desc.MediaType != n.Desc.MediaType {
		return fmt.Errorf("%s is a %s in %s and a %s in %s: %w",
			n.Desc.Digest, old.Desc.MediaType, old.Parent, n.Desc.MediaType, n.Parent, errdefs.ErrInvalidArgument)
	}
	return nil
}

// admit checks a new node against the limits that its descriptor shows.
func (r *walk) admit(parent *Node, n *Node) error {
	where := "root"
	if parent != nil {
		where = fmt.Sprintf("%s %d of %s", n.Role, n.Index, parent.Desc.Digest)
	}
	if n.Lists > r.lim.GraphDepth {
		return fmt.Errorf("%s (%s): more than %d lists above one another: %w", n.Desc.Digest, where, r.lim.GraphDepth, errdefs.ErrResourceExhausted)
	}
	limit := int64(0)
	switch {
	case n.Role == RoleConfig && isImageConfig(n.Desc.MediaType):
		limit = r.lim.ConfigBytes
	case IsDocument(n.Desc.MediaType):
		limit = r.lim.DocumentBytes
	}
	if limit > 0 && n.Desc.Size > limit {
		return fmt.Errorf("%s (%s) has %d bytes, the limit is %d: %w", n.Desc.Digest, where, n.Desc.Size, limit, errdefs.ErrResourceExhausted)
	}
	return nil
}

func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == MediaTypeDockerConfig
}

// fetch reads the documents of one level, several at once.
func (r *walk) fetch(ctx context.Context, level []*Node) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parallel := r.Parallel
	if parallel == 0 {
		parallel = 8
	}
	work := make(chan *Node)
	var wg sync.WaitGroup
	for range min(parallel, len(level)) {
		wg.Go(func() {
			for n := range work {
				if err := r.read(ctx, n); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, n := range level {
		select {
		case work <- n:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// read fetches, verifies and decodes one document.
func (r *walk) read(ctx context.Context, n *Node) error {
	data := n.Desc.Data
	if data == nil {
		var err error
		data, err = r.Fetch(ctx, n.Desc)
		switch {
		case err != nil && errors.Is(err, errdefs.ErrNotFound) && n.Parent != "" && r.Missing != nil:
			n.Missing = true
			return r.Missing(n, err)
		case err != nil:
			return fmt.Errorf("reading %s: %w", r.describe(n), err)
		}
	}
	if err := VerifyBytes(data, n.Desc); err != nil {
		return fmt.Errorf("reading %s: %w", r.describe(n), err)
	}
	if err := r.Budget.Take(0, int64(len(data))); err != nil {
		return fmt.Errorf("%s: %w", r.graph.Root.Desc.Digest, err)
	}
	doc, err := Decode(data, Declared{Descriptor: n.Desc.MediaType}, r.lim)
	if err != nil {
		return fmt.Errorf("decoding %s: %w", r.describe(n), err)
	}
	n.Doc = doc
	return nil
}

// describe names a node and how it was come to.
func (r *walk) describe(n *Node) string {
	if n.Parent == "" {
		return fmt.Sprintf("%s %s", n.Role, n.Desc.Digest)
	}
	return fmt.Sprintf("%s %s, entry %d of %s", n.Role, n.Desc.Digest, n.Index, n.Parent)
}
