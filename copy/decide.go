package copy

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/transport"
)

// Decide makes the plan of a copy. It is a pure function: what was loaded, what
// the destination accepts and the options determine the plan.
//
// What cannot be done is errdefs.ErrFailedPrecondition if a document would have
// to change that must not, and errdefs.ErrNotImplemented if the destination or
// the format cannot hold it; the reason is in the text.
func Decide(l *Loaded, acc transport.Accepts, opts Options) (*Plan, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	d := &decider{
		Loaded: l, acc: acc, opts: opts,
		plan: &Plan{
			SourceRoot: l.Root,
			Left:       slices.Clone(l.Left),
			Notes:      slices.Clone(l.Notes),
			Signatures: map[digest.Digest][]transport.Signature{},
		},
		ops:     map[NodeKey]int{},
		decided: map[digest.Digest]ocispec.Descriptor{},
		left:    map[digest.Digest]bool{},
		reaches: map[digest.Digest]bool{},
	}
	for _, step := range []func() error{d.lists, d.pinned, d.image, d.attachedGraphs, d.signatures} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	d.parents()
	d.tidy()
	return d.plan, nil
}

// decider is the state of one Decide.
type decider struct {
	*Loaded
	acc  transport.Accepts
	opts Options
	plan *Plan

	graph    *image.Graph  // the one that is being decided
	format   Format        // of the one that is being decided
	attaches bool          // that one is attached: nothing in it is converted
	subject  digest.Digest // that it belongs to
	ops      map[NodeKey]int
	decided  map[digest.Digest]ocispec.Descriptor // documents, by their digest at the source
	left     map[digest.Digest]bool
	reaches  map[digest.Digest]bool // lists with something chosen below them
}

// parents tells every node its parent by the digest that it has at the
// destination.
func (d *decider) parents() {
	for i := range d.plan.Ops {
		op := &d.plan.Ops[i]
		if op.parent != "" {
			op.Node.Parent = d.decided[op.parent].Digest
		}
	}
}

// tidy takes out of what stays behind what is carried after all, for another
// reason than that for which it was left.
func (d *decider) tidy() {
	d.plan.Left = slices.DeleteFunc(d.plan.Left, func(e Entry) bool {
		_, carried := d.ops[NodeKey{e.Digest, true}]
		return carried
	})
}

// lists refuses a list where the destination cannot hold one.
func (d *decider) lists() error {
	if d.acc.NoLists != "" && image.IsList(d.Graph.Root.Desc.MediaType) {
		return fmt.Errorf("copying the list %s: %s: %w", d.Root.Digest, d.acc.NoLists, errdefs.ErrNotImplemented)
	}
	return nil
}

// pinned checks the digest that the destination's reference demands: the
// image's, or that of the list out of which it was chosen.
func (d *decider) pinned() error {
	want := d.acc.Pinned
	if want == "" || want == d.Graph.Root.Desc.Digest || want == d.Within {
		return nil
	}
	return fmt.Errorf("the destination demands %s, the source is %s: %w", want, d.Graph.Root.Desc.Digest, errdefs.ErrFailedPrecondition)
}

// image decides about the image itself.
func (d *decider) image() error {
	d.graph, d.format = d.Graph, d.opts.Format
	if d.Complete {
		d.present()
		return nil
	}
	root, err := d.document(d.Graph.Root)
	if err != nil {
		return err
	}
	if root.Platform == nil && !image.IsList(root.MediaType) {
		root.Platform = d.platformOfImage()
	}
	d.noteSelection(root)
	d.plan.Root = root
	d.plan.Names = append(d.plan.Names, transport.Naming{Desc: root, Within: d.Within})
	return nil
}

// present plans an image that the destination has: its root, and its name.
func (d *decider) present() {
	for _, n := range d.Graph.Nodes() {
		if isDocument(n.Role) {
			d.decided[n.Desc.Digest] = n.Desc
		}
	}
	root := d.Graph.Root
	d.add(Op{Node: transport.Node{Desc: root.Desc, Role: root.Role}, Action: Copied, From: root.Desc})
	d.plan.Root = root.Desc
	d.plan.Names = append(d.plan.Names, transport.Naming{Desc: root.Desc})
}

// platformOfImage is what the config of a single image says.
func (d *decider) platformOfImage() *ocispec.Platform {
	m, ok := d.Graph.Root.Doc.(*image.Manifest)
	if !ok {
		return nil
	}
	c, err := image.DecodeConfig(d.Configs[m.Config().Digest], d.opts.Limits)
	if err != nil || (c.Platform.OS == "" && c.Platform.Architecture == "") {
		return nil // what is copied need not be an image that runs
	}
	return &c.Platform
}

// noteSelection says so if something was asked of an image that is not a list and
// that it is not: what is selected of a list is ignored for a single image.
func (d *decider) noteSelection(root ocispec.Descriptor) {
	if image.IsList(d.Root.MediaType) {
		return
	}
	is := "a single image"
	if p := platformOf(root.Platform); p != "" {
		is += " for " + p
	}
	for _, asked := range d.opts.Selection.Platforms {
		if root.Platform == nil || !d.serves(asked, root) {
			d.note("the source is %s: %s could not be chosen", is, platform.Format(asked))
		}
	}
	for _, asked := range d.opts.Selection.Instances {
		if asked != root.Digest {
			d.note("the source is %s: instance %s could not be chosen", is, asked)
		}
	}
}

// serves reports whether a single image would have been chosen for a platform.
func (d *decider) serves(asked ocispec.Platform, root ocispec.Descriptor) bool {
	_, err := platform.Select(platform.CopyOne, &asked, []ocispec.Descriptor{root}, d.opts.Selection.Match)
	return err == nil
}

func (d *decider) note(format string, args ...any) {
	d.plan.Notes = append(d.plan.Notes, fmt.Sprintf(format, args...))
}

// document decides about a document and all below it, once, and returns its
// descriptor at the destination. n is the node as it was come to.
func (d *decider) document(n *image.Node) (ocispec.Descriptor, error) {
	if desc, ok := d.decided[n.Desc.Digest]; ok {
		return desc, nil
	}
	var desc ocispec.Descriptor
	var err error
	switch doc := n.Doc.(type) {
	case *image.List:
		desc, err = d.list(n, doc)
	case *image.Manifest:
		desc, err = d.manifest(n, doc)
	default:
		desc, err = d.asIs(n)
	}
	if err == nil {
		d.decided[n.Desc.Digest] = desc
	}
	return desc, err
}

// target returns the type that a document is written in.
func (d *decider) target(mediaType string) (string, error) {
	if d.attaches {
		return mediaType, nil
	}
	return targetType(mediaType, d.acc, d.format)
}

// manifest decides about an OCI or schema 2 manifest.
func (d *decider) manifest(n *image.Node, m *image.Manifest) (ocispec.Descriptor, error) {
	target, err := d.target(m.MediaType())
	if n.Role == image.RoleAttestation && target != m.MediaType() {
		return d.attestation(n, m, target)
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", describe(n), err)
	}
	if target == m.MediaType() {
		return d.asIs(n)
	}
	return d.convert(n, m, target)
}

// attestation keeps an attestation as it is where it cannot be converted.
func (d *decider) attestation(n *image.Node, m *image.Manifest, target string) (ocispec.Descriptor, error) {
	if target == ocispec.MediaTypeImageManifest {
		return d.convert(n, m, target)
	}
	if own, err := targetType(m.MediaType(), d.acc, AsIs); err != nil || own != m.MediaType() {
		return ocispec.Descriptor{}, fmt.Errorf("%s has no form that the destination takes; attestations can be dropped: %w", describe(n), errdefs.ErrNotImplemented)
	}
	d.note("attestation %s is kept as it is: it has no schema 2 form", n.Desc.Digest)
	return d.asIs(n)
}

// asIs plans a document with its own bytes, and its children.
func (d *decider) asIs(n *image.Node) (ocispec.Descriptor, error) {
	if !d.takes(n.Desc.MediaType) {
		return ocispec.Descriptor{}, fmt.Errorf("%s is a %q, which the destination does not take: %w", describe(n), n.Desc.MediaType, errdefs.ErrNotImplemented)
	}
	var children []NodeKey
	for _, e := range n.Doc.Edges() {
		children = append(children, d.blob(n, e, e.Desc, nil))
	}
	d.add(Op{
		Node: transport.Node{Desc: n.Desc, Role: n.Role, Index: n.Index}, parent: n.Parent,
		Action: Copied, From: n.Desc, Data: n.Doc.Bytes(), Children: children,
	})
	return n.Desc, nil
}

// takes reports whether the destination takes a type.
func (d *decider) takes(mediaType string) bool {
	return len(d.acc.Types) == 0 || slices.Contains(d.acc.Types, mediaType)
}

// blob plans a config, a layer or an opaque entry of a list, unless it is a layer that
// the destination is not given.
func (d *decider) blob(parent *image.Node, e image.Edge, desc ocispec.Descriptor, converted []byte) NodeKey {
	if d.acc.NoForeign != "" && e.Role == image.RoleLayer && isForeign(desc.MediaType) && len(desc.URLs) > 0 {
		d.leave(&image.Node{Desc: desc, Role: e.Role, Parent: parent.Desc.Digest, Index: e.Index}, Skipped, d.acc.NoForeign)
		return NodeKey{desc.Digest, false}
	}
	op := Op{
		Node:     transport.Node{Desc: desc, Role: e.Role, Index: e.Index},
		Action:   Copied,
		From:     e.Desc,
		Platform: platformOf(parent.Desc.Platform),
		parent:   parent.Desc.Digest,
	}
	switch {
	case converted != nil:
		op.Action, op.Data, op.Reason = Converted, converted, "the config was not a valid OCI config"
	case e.Desc.Data != nil:
		op.Data = e.Desc.Data
	default:
		op.Data = d.Configs[e.Desc.Digest]
	}
	d.add(op)
	return op.Key()
}

// convert plans a manifest in another form.
func (d *decider) convert(n *image.Node, m *image.Manifest, target string) (ocispec.Descriptor, error) {
	if reason := d.fixed(n); reason != "" {
		return ocispec.Descriptor{}, fmt.Errorf("%s would have to be converted to %s, which must not be: %s: %w", describe(n), target, reason, errdefs.ErrFailedPrecondition)
	}
	c, err := m.Convert(target, d.Configs[m.Config().Digest])
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s cannot be converted to %s: %w", describe(n), target, err)
	}
	for _, lost := range c.Lost {
		d.note("%s: %s", describe(n), lost)
	}
	old, edges := m.Edges(), c.Manifest.Edges()
	var children []NodeKey
	for i, e := range old {
		var data []byte
		if e.Role == image.RoleConfig {
			data = c.Config
		}
		children = append(children, d.blob(n, e, edges[i].Desc, data))
	}
	desc := n.Desc
	desc.MediaType, desc.Data = target, nil
	desc.Digest, desc.Size = n.Desc.Digest.Algorithm().FromBytes(c.Manifest.Bytes()), int64(len(c.Manifest.Bytes()))
	d.add(Op{
		Node: transport.Node{Desc: desc, Role: n.Role, Index: n.Index}, parent: n.Parent,
		Action: Converted, From: n.Desc, Data: c.Manifest.Bytes(),
		Reason: "converted from " + n.Desc.MediaType, Children: children,
	})
	return desc, nil
}

// add plans an operation, once for each key. Where it stands is where it was met
// first.
func (d *decider) add(op Op) {
	key := op.Key()
	if _, ok := d.ops[key]; ok {
		return
	}
	if op.Platform == "" {
		op.Platform = platformOf(op.Node.Desc.Platform)
	}
	op.Subject, op.Node.Subject = d.subject, d.subject
	d.ops[key] = len(d.plan.Ops)
	d.plan.Ops = append(d.plan.Ops, op)
}

// fixed returns the reason why a document must not change; empty if it may.
func (d *decider) fixed(n *image.Node) string {
	switch dg := n.Desc.Digest; {
	case d.opts.PreserveDigests:
		return "digests are to be preserved"
	case d.acc.Pinned != "" && dg == d.Graph.Root.Desc.Digest:
		return "the destination demands its digest"
	case d.opts.RemoveSignatures:
		return ""
	case len(d.Signatures[dg]) > 0:
		return fmt.Sprintf("its simple signatures (%d) would be void", len(d.Signatures[dg]))
	default:
		for _, a := range d.Attached {
			if a.Signature && a.Subject == dg {
				return fmt.Sprintf("it is signed by %s, which would be void", describeAttached(a))
			}
		}
	}
	return ""
}

// describe names a document for an error or a note.
func describe(n *image.Node) string {
	return fmt.Sprintf("%s %s%s", n.Role, n.Desc.Digest, platformSuffix(n.Desc.Platform))
}

func describeAttached(a Attached) string {
	if a.Name != "" {
		return fmt.Sprintf("tag %q", a.Name)
	}
	return "referrer " + a.Graph.Root.Desc.Digest.String()
}
