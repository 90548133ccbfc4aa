package copy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/transport"
)

// atOnce is the number of requests of one kind for documents that are under way at a
// time. They are small, and it is their latency that counts.
const atOnce = 16

// Loaded is what Load has read of an image: all that Decide needs to know.
type Loaded struct {
	// Root is what the source's reference means.
	Root ocispec.Descriptor
	// Graph is what is to be copied: from Root, or from the chosen instance.
	Graph *image.Graph
	// Complete tells that the destination has all of Graph, in which only lists have
	// been read then: what else is attached may have to be copied.
	Complete bool
	// Within is the list out of which a single instance was chosen; or empty.
	Within digest.Digest
	// Attached are the graphs that belong to documents of Graph and of one
	// another, in the order in which they were found.
	Attached []Attached
	// Signatures are the simple signatures of the documents, by digest.
	Signatures map[digest.Digest][]transport.Signature
	// Configs are the bytes of the configs that had to be read, by digest.
	Configs map[digest.Digest][]byte
	// Left are the descriptors that stay behind whatever is decided.
	Left []Entry
	// Notes tell what is worth knowing, one sentence each.
	Notes []string

	// chosen are the instances that were selected; nil means all.
	chosen map[digest.Digest]bool
}

// Attached is a graph that belongs to a subject: a referrer's or a digest tag's.
type Attached struct {
	Graph   *image.Graph
	Subject digest.Digest
	// Name is the digest tag; empty for a referrer.
	Name string
	// Signature tells that it signs its subject, so that a change of the subject
	// would make it void.
	Signature bool
}

// Load reads the documents of the image, of what is attached to it, and the
// configs that are needed to decide. What it reads is bounded by opts.Limits.
func Load(ctx context.Context, src transport.Source, acc transport.Accepts, opts Options) (*Loaded, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	l := newLoader(ctx, src, acc, opts)
	defer l.close()
	if err := l.image(ctx); err != nil {
		return nil, err
	}
	if err := l.rest(ctx); err != nil {
		return nil, err
	}
	return &l.Loaded, nil
}

// loader is the state of one Load.
type loader struct {
	Loaded
	src  transport.Source
	near transport.Readable // what the destination has; nil if it does not give it back
	acc  transport.Accepts
	opts Options
	lim  image.Limits

	budget *image.Budget // of all that is kept
	ahead  *ahead

	mu   sync.Mutex
	docs map[digest.Digest][]byte // lists, which two walks may need
}

// newLoader returns a loader, which asks ahead what is attached. It is to be closed.
func newLoader(ctx context.Context, src transport.Source, acc transport.Accepts, opts Options) *loader {
	l := &loader{
		src: src, acc: acc, opts: opts, lim: opts.Limits.WithDefaults(),
		docs: map[digest.Digest][]byte{}, budget: image.NewBudget(opts.Limits),
		Loaded: Loaded{
			Signatures: map[digest.Digest][]transport.Signature{},
			Configs:    map[digest.Digest][]byte{},
		},
	}
	l.ahead = newAhead(ctx, l)
	return l
}

// close ends what was asked for and is not needed any more.
func (l *loader) close() { l.ahead.close() }

// root returns what the reference of the source means.
func (l *loader) root(ctx context.Context) (ocispec.Descriptor, error) {
	root, err := l.src.Root(ctx)
	if err == nil {
		l.ahead.begin()
	}
	return root, err
}

// image reads the image, and the configs that are needed to decide about it.
func (l *loader) image(ctx context.Context) error {
	root, err := l.root(ctx)
	if err != nil {
		return err
	}
	l.Root = root
	if err := l.main(ctx); err != nil {
		return err
	}
	return l.configs(ctx)
}

// rest reads what is attached to the image.
func (l *loader) rest(ctx context.Context) error {
	if err := l.attached(ctx); err != nil {
		return err
	}
	if err := l.signatures(ctx); err != nil {
		return err
	}
	l.opts.log().Debug("loaded an image", "root", l.Root.Digest, "descriptors", len(l.Graph.Nodes()), "attached", len(l.Attached))
	return nil
}

// main reads the image itself.
func (l *loader) main(ctx context.Context) error {
	mode := l.mode()
	if l.Complete {
		return l.subjects(ctx)
	}
	if !image.IsList(l.Root.MediaType) || mode == All {
		graph, err := l.walk(ctx, l.Root, l.enter, l.missing)
		if err != nil {
			return err
		}
		l.Graph = graph
		if graph.Root.Doc == nil {
			return fmt.Errorf("%s is not a manifest or list but %q: %w", l.Root.Digest, l.Root.MediaType, errdefs.ErrInvalidArgument)
		}
		return nil
	}
	lists, err := l.walk(ctx, l.Root, func(n *image.Node) bool {
		return n.Role == image.RoleIndex && (mode != IndexOnly || n.Parent == "")
	}, tolerate)
	if err != nil {
		return err
	}
	switch mode {
	case One:
		return l.one(ctx, lists)
	case IndexOnly:
		l.Graph, l.chosen = lists, map[digest.Digest]bool{}
		return nil
	}
	if l.chosen, err = l.choose(lists); err != nil {
		return err
	}
	l.Graph, err = l.walk(ctx, l.Root, func(n *image.Node) bool {
		return (n.Role == image.RoleIndex || l.chosen[n.Desc.Digest]) && l.enter(n)
	}, func(n *image.Node, err error) error {
		if n.Role == image.RoleIndex {
			return nil // nothing in it was chosen
		}
		return l.missing(n, err)
	})
	return err
}

// enter has what refers to a document asked for, while that is read.
func (l *loader) enter(n *image.Node) bool {
	l.ahead.ask(n.Desc.Digest)
	return true
}

// subjects reads as much of the image as it takes to know its documents.
func (l *loader) subjects(ctx context.Context) (err error) {
	l.Graph, err = l.walk(ctx, l.Root, func(n *image.Node) bool {
		return l.opts.wantAttached() && l.enter(n) && n.Role == image.RoleIndex
	}, tolerate)
	return err
}

// tolerate lets a walk go on without what is missing: whether it is wanted is not
// known yet.
func tolerate(*image.Node, error) error { return nil }

// mode resolves the default mode.
func (l *loader) mode() Mode {
	if l.opts.Selection.Mode != Default {
		return l.opts.Selection.Mode
	}
	if l.acc.NoLists != "" {
		return One
	}
	return All
}

// one chooses a single instance, which becomes the image.
func (l *loader) one(ctx context.Context, lists *image.Graph) error {
	asked := platform.Host()
	if len(l.opts.Selection.Platforms) > 0 {
		asked = l.opts.Selection.Platforms[0]
	}
	leaves := slices.DeleteFunc(leavesOf(lists), func(d ocispec.Descriptor) bool { return !image.IsManifest(d.MediaType) })
	order, err := platform.Select(platform.CopyOne, &asked, leaves, l.opts.Selection.Match)
	if err != nil {
		return fmt.Errorf("choosing an instance of %s: %w", l.Root.Digest, err)
	}
	chosen := leaves[order[0]]
	l.noteTwins(leaves, order)
	l.Within = l.Root.Digest
	l.leaveBehind(lists, chosen)
	l.Graph, err = l.walk(ctx, chosen, l.enter, l.missing)
	if errdefs.IsNotFound(err) {
		return unavailable(fmt.Errorf("instance %s%s of %s is missing at the source", chosen.Digest, platformSuffix(chosen.Platform), l.Root.Digest), err)
	}
	return err
}

// noteTwins says so if the chosen instance was one of several for its platform.
func (l *loader) noteTwins(leaves []ocispec.Descriptor, order []int) {
	chosen, twins := leaves[order[0]], 0
	for _, i := range order[1:] {
		if platformOf(leaves[i].Platform) == platformOf(chosen.Platform) && leaves[i].Digest != chosen.Digest {
			twins++
		}
	}
	if twins > 0 {
		l.note("the list has more instances for %s (%d); %s was taken", platformOf(chosen.Platform), twins, chosen.Digest)
	}
}

// leaveBehind notes the list and its other instances as skipped.
func (l *loader) leaveBehind(lists *image.Graph, chosen ocispec.Descriptor) {
	for _, n := range lists.Nodes() {
		if n.Desc.Digest == chosen.Digest {
			continue
		}
		reason := "only " + chosen.Digest.String() + " is copied"
		if of, ok := image.AttestationOf(n.Desc); ok && of == chosen.Digest {
			reason = "an attestation hangs on the list, which is not copied"
		}
		l.Left = append(l.Left, entryOf(n, Skipped, reason))
	}
}

// walk reads a graph from a root down.
func (l *loader) walk(ctx context.Context, root ocispec.Descriptor, enter func(*image.Node) bool, missing func(*image.Node, error) error) (*image.Graph, error) {
	w := image.Walker{Fetch: l.fetch, Limits: l.lim, Parallel: atOnce, Enter: enter, Missing: missing, Budget: l.budget}
	return w.Walk(ctx, root)
}

// missing decides about a document that the source does not have.
func (l *loader) missing(n *image.Node, err error) error {
	if l.opts.Selection.Absent != AbsentDefault {
		return nil
	}
	return unavailable(fmt.Errorf("%s %s%s, entry %d of %s, is missing at the source; an absent instance can be kept or stripped",
		n.Role, n.Desc.Digest, platformSuffix(n.Desc.Platform), n.Index, n.Parent), err)
}

// unavailable is an error for content that an existing image lacks: it must not
// be taken for an image that does not exist.
func unavailable(what, err error) error {
	return fmt.Errorf("%w: %w (%v)", what, errdefs.ErrUnavailable, err) //nolint:errorlint // the kind of err must not show through
}

// fetch reads a document from the source, lists only once.
func (l *loader) fetch(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	l.mu.Lock()
	data := l.docs[desc.Digest]
	l.mu.Unlock()
	if data != nil {
		return data, nil
	}
	data, err := l.content(ctx, desc, l.lim.DocumentBytes)
	if err == nil && image.IsList(desc.MediaType) {
		l.mu.Lock()
		l.docs[desc.Digest] = data
		l.mu.Unlock()
	}
	return data, err
}

// content reads a small piece of content: from the destination, if that has it and
// gives it back, else from the source.
func (l *loader) content(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if l.near != nil && desc.Data == nil {
		data, err := l.near.Read(ctx, desc, limit)
		if err == nil {
			return data, nil
		}
		if !errdefs.IsNotFound(err) && ctx.Err() == nil {
			l.opts.log().WarnContext(ctx, "the destination has content that cannot be read", "digest", desc.Digest, "error", err)
		}
	}
	return transport.Fetch(ctx, l.src, desc, limit)
}

// configs reads the configs that Decide needs: of manifests that may have to be
// converted, and of a single image, for its platform.
func (l *loader) configs(ctx context.Context) error {
	need := map[digest.Digest]ocispec.Descriptor{}
	for _, n := range l.Graph.Nodes() {
		m, ok := n.Doc.(*image.Manifest)
		if !ok || !m.IsImage() {
			continue
		}
		target, err := targetType(m.MediaType(), l.acc, l.opts.Format)
		if n == l.Graph.Root || (err == nil && target != m.MediaType() && n.Role == image.RoleManifest) {
			need[m.Config().Digest] = m.Config()
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, desc := range need {
		g.Go(func() error { return l.config(ctx, desc) })
	}
	return g.Wait()
}

func (l *loader) config(ctx context.Context, desc ocispec.Descriptor) error {
	data, err := l.content(ctx, desc, l.lim.ConfigBytes)
	if errors.Is(err, errdefs.ErrNotFound) {
		return unavailable(fmt.Errorf("config %s is missing at the source", desc.Digest), err)
	}
	if err != nil {
		return fmt.Errorf("reading config: %w", err)
	}
	if err := l.budget.Take(0, int64(len(data))); err != nil {
		return fmt.Errorf("reading config %s: %w", desc.Digest, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Configs[desc.Digest] = data
	return nil
}

// signatures reads the simple signatures of all documents that were read.
func (l *loader) signatures(ctx context.Context) error {
	reader, ok := l.src.(transport.SignatureReader)
	if !ok {
		return nil
	}
	documents := documentsOf(l.Graph)
	for _, a := range l.Attached {
		maps.Copy(documents, documentsOf(a.Graph))
	}
	if l.Within != "" {
		documents[l.Within] = true
	}
	for d := range documents {
		sigs, err := reader.Signatures(ctx, d)
		if err != nil {
			return fmt.Errorf("reading the signatures of %s: %w", d, err)
		}
		if len(sigs) > 0 {
			l.Signatures[d] = sigs
		}
	}
	return nil
}

// documentsOf returns the digests of the manifests and lists that were read.
func documentsOf(g *image.Graph) map[digest.Digest]bool {
	set := map[digest.Digest]bool{}
	for _, n := range g.Nodes() {
		if n.Doc != nil {
			set[n.Desc.Digest] = true
		}
	}
	return set
}
