package copy

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// fate is what becomes of one entry of a list.
type fate struct {
	key    NodeKey // at the destination, if it goes there
	absent bool    // it does not go there
	drop   bool    // it does not stay in the list
}

// errNothingLeft is that of a list all of whose entries are taken out.
var errNothingLeft = fmt.Errorf("nothing would be left in the list: %w", errdefs.ErrInvalidArgument)

// list decides about a list: first its entries, then the list, which changes if
// they do.
func (d *decider) list(n *image.Node, list *image.List) (ocispec.Descriptor, error) {
	target, err := d.target(list.MediaType())
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", describe(n), err)
	}
	fates, children, err := d.entries(n, list)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	edited, err := d.edit(n, list, target, fates)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", describe(n), err)
	}
	op := Op{Node: transport.Node{Role: n.Role, Index: n.Index}, parent: n.Parent, Action: Copied, From: n.Desc, Children: children}
	switch {
	case target != list.MediaType():
		op.Action, op.Reason = Converted, "converted from "+list.MediaType()
	case !bytes.Equal(edited.Bytes(), list.Bytes()):
		op.Action, op.Reason = Edited, "entries were taken out or have changed"
	}
	desc := n.Desc
	if op.Action != Copied {
		if desc, err = d.changed(n, op, fates, edited); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	op.Node.Desc, op.Data = desc, edited.Bytes()
	d.add(op)
	return desc, nil
}

// changed returns the descriptor of a list that became another one, if it may.
func (d *decider) changed(n *image.Node, op Op, fates map[digest.Digest]fate, edited *image.List) (ocispec.Descriptor, error) {
	reason := d.fixed(n)
	if op.Action == Converted && reason == "" {
		for _, f := range fates {
			if f.absent && !f.drop {
				reason = "entries that are not copied would keep their old form; they can be stripped"
			}
		}
	}
	if reason != "" {
		return ocispec.Descriptor{}, fmt.Errorf("%s would have to change (%s), which must not be: %s: %w", describe(n), op.Reason, reason, errdefs.ErrFailedPrecondition)
	}
	edited, err := edited.WithAlgorithm(n.Desc.Digest.Algorithm())
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", describe(n), err)
	}
	desc, made := n.Desc, edited.Descriptor()
	desc.MediaType, desc.Digest, desc.Size, desc.Data = made.MediaType, made.Digest, made.Size, nil
	d.note("%s became %s", describe(n), desc.Digest)
	return desc, nil
}

// entries decides about the entries of a list, attestations after what they
// attest.
func (d *decider) entries(n *image.Node, list *image.List) (map[digest.Digest]fate, []NodeKey, error) {
	fates := map[digest.Digest]fate{}
	var children []NodeKey
	for _, attestations := range []bool{false, true} {
		for _, e := range list.Edges() {
			if _, ok := fates[e.Desc.Digest]; ok || (e.Role == image.RoleAttestation) != attestations {
				continue
			}
			f, err := d.entry(n, e, fates)
			if err != nil {
				return nil, nil, err
			}
			fates[e.Desc.Digest] = f
			if !f.absent {
				children = append(children, f.key)
			}
		}
	}
	return fates, children, nil
}

// entry decides about one entry of a list.
func (d *decider) entry(list *image.Node, e image.Edge, fates map[digest.Digest]fate) (fate, error) {
	met := *d.graph.Node(e.Desc.Digest) // as this list has it
	met.Parent, met.Index = list.Desc.Digest, e.Index
	if met.Doc == nil || met.Desc.MediaType == e.Desc.MediaType {
		met.Desc, met.Role = e.Desc, e.Role
	}
	n := &met
	of, _ := image.AttestationOf(e.Desc)
	switch {
	case n.Missing:
		return d.leaveOut(n, Missing, "not at the source"), nil
	case d.graph == d.Graph && d.chosen != nil && !d.reachesChosen(n):
		return d.leaveOut(n, Skipped, "not chosen"), nil
	case fates[of].drop:
		return d.takeOut(n, "what it attests is taken out of the list"), nil
	case e.Role == image.RoleAttestation && d.opts.DropAttestations && d.hasNoForm(n):
		return d.takeOut(n, "an attestation has no schema 2 form; taken out of the list"), nil
	case n.Doc == nil:
		return fate{key: d.blob(list, e, e.Desc, nil)}, nil
	}
	desc, err := d.document(n)
	if errors.Is(err, errNothingLeft) {
		return d.takeOut(n, "nothing in it is left; taken out of the list"), nil
	}
	return fate{key: NodeKey{desc.Digest, true}}, err
}

// hasNoForm reports whether an attestation would have to be written as what it
// cannot be.
func (d *decider) hasNoForm(n *image.Node) bool {
	target, err := d.target(n.Desc.MediaType)
	return err != nil || target == image.MediaTypeDockerManifest
}

// reachesChosen reports whether a node is chosen, or a list with something
// chosen below it.
func (d *decider) reachesChosen(n *image.Node) bool {
	if n.Role != image.RoleIndex {
		return d.chosen[n.Desc.Digest]
	}
	if known, ok := d.reaches[n.Desc.Digest]; ok {
		return known
	}
	d.reaches[n.Desc.Digest] = false
	if n.Doc != nil {
		for _, e := range n.Doc.Edges() {
			if d.reachesChosen(d.graph.Node(e.Desc.Digest)) {
				d.reaches[n.Desc.Digest] = true
				break
			}
		}
	}
	return d.reaches[n.Desc.Digest]
}

// leaveOut notes an entry that stays behind, and stays in the list unless that is
// to be stripped.
func (d *decider) leaveOut(n *image.Node, action Action, reason string) fate {
	if d.opts.Selection.Absent == Strip {
		d.leave(n, action, reason+"; taken out of the list")
		return fate{absent: true, drop: true}
	}
	d.leave(n, action, reason+"; kept in the list")
	return fate{absent: true}
}

// takeOut notes an entry that stays behind, and not in the list.
func (d *decider) takeOut(n *image.Node, reason string) fate {
	d.leave(n, Skipped, reason)
	return fate{absent: true, drop: true}
}

// leave notes a node that stays behind, once.
func (d *decider) leave(n *image.Node, action Action, reason string) {
	if d.left[n.Desc.Digest] {
		return
	}
	d.left[n.Desc.Digest] = true
	e := entryOf(n, action, reason)
	e.Subject = d.subject
	d.plan.Left = append(d.plan.Left, e)
}

// edit makes the list say what became of its entries, in the form of the target
// type. A Docker list cannot say all that an index can, so the entries change while
// it is an index.
func (d *decider) edit(n *image.Node, list *image.List, target string, fates map[digest.Digest]fate) (*image.List, error) {
	edited, err := list.Keep(func(e ocispec.Descriptor) bool { return !fates[e.Digest].drop })
	if err != nil {
		return nil, err
	}
	if len(edited.Instances()) == 0 && len(list.Instances()) > 0 {
		return nil, errNothingLeft
	}
	if target == ocispec.MediaTypeImageIndex {
		if edited, err = d.convertList(n, edited, target); err != nil {
			return nil, err
		}
	}
	if edited, err = edited.UpdateAll(d.changes(edited, fates)); err != nil {
		return nil, err
	}
	return d.convertList(n, edited, target)
}

// convertList converts a list, and notes what it lost.
func (d *decider) convertList(n *image.Node, list *image.List, target string) (*image.List, error) {
	converted, lost, err := list.Convert(target)
	for _, s := range lost {
		d.note("%s: %s", describe(n), s)
	}
	return converted, err
}

// changes are the entries that are something else now.
func (d *decider) changes(list *image.List, fates map[digest.Digest]fate) map[digest.Digest]ocispec.Descriptor {
	changes := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range list.Instances() {
		to := ocispec.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}
		if now, ok := d.decided[e.Digest]; ok && !fates[e.Digest].absent && now.Digest != e.Digest {
			to = ocispec.Descriptor{MediaType: now.MediaType, Digest: now.Digest, Size: now.Size}
		}
		to.Annotations = d.repointed(list, e)
		if to.Digest != e.Digest || to.Annotations != nil {
			changes[e.Digest] = to
		}
	}
	return changes
}

// repointed returns the annotations of an attestation that shall name its
// instance under a new digest; nil where nothing changes.
func (d *decider) repointed(list *image.List, e ocispec.Descriptor) map[string]string {
	of, attests := image.AttestationOf(e)
	now, carried := d.decided[of]
	if !attests || !carried || now.Digest == of || list.MediaType() == image.MediaTypeDockerList {
		return nil
	}
	d.note("attestation %s names %s, which became %s", e.Digest, of, now.Digest)
	annotations := maps.Clone(e.Annotations)
	annotations[image.AnnotationReferenceDigest] = now.Digest.String()
	return annotations
}
