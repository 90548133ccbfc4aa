package copy

import (
	"bytes"
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
	desc   ocispec.Descriptor // at the destination, if it goes there
	absent bool               // it does not go there
	drop   bool               // it does not stay in the list
}

// list decides about a list: first its entries, then the list, which changes if
// they do.
func (d *decider) list(n *image.Node, list *image.List) (ocispec.Descriptor, error) {
	target, err := targetType(list.MediaType(), d.acc, d.format)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", describe(n), err)
	}
	fates := map[digest.Digest]fate{}
	var children []digest.Digest
	for _, e := range list.Edges() {
		if _, ok := fates[e.Desc.Digest]; ok {
			continue
		}
		f, err := d.entry(n, e)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		fates[e.Desc.Digest] = f
		if !f.absent {
			children = append(children, f.desc.Digest)
		}
	}
	edited, err := d.edit(n, list, fates)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	op := Op{Node: transport.Node{Role: n.Role, Index: n.Index}, Action: Copied, From: n.Desc, Children: children}
	if !bytes.Equal(edited.Bytes(), list.Bytes()) {
		op.Action, op.Reason = Edited, "entries were taken out or have changed"
	}
	if target != list.MediaType() {
		converted, lost, err := edited.Convert(target)
		if err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("%s cannot be converted to %s: %w", describe(n), target, err)
		}
		for _, s := range lost {
			d.note("%s: %s", describe(n), s)
		}
		edited = converted
		op.Action, op.Reason = Converted, "converted from "+list.MediaType()
	}
	if reason := d.fixed(n); reason != "" && op.Action != Copied {
		return ocispec.Descriptor{}, fmt.Errorf("%s would have to change (%s), which must not be: %s: %w", describe(n), op.Reason, reason, errdefs.ErrFailedPrecondition)
	}
	desc := n.Desc
	if op.Action != Copied {
		edited, err = edited.WithAlgorithm(n.Desc.Digest.Algorithm())
		if err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("%s: %w", describe(n), err)
		}
		made := edited.Descriptor()
		desc.MediaType, desc.Digest, desc.Size, desc.Data = made.MediaType, made.Digest, made.Size, nil
		d.note("%s became %s", describe(n), desc.Digest)
	}
	op.Node.Desc, op.Data = desc, edited.Bytes()
	d.add(op)
	return desc, nil
}

// entry decides about one entry of a list.
func (d *decider) entry(list *image.Node, e image.Edge) (fate, error) {
	n := d.graph.Node(e.Desc.Digest)
	switch {
	case n.Missing:
		return d.leaveOut(list, e, Missing, "not at the source"), nil
	case d.graph == d.Graph && d.chosen != nil && !d.reachesChosen(n):
		return d.leaveOut(list, e, Skipped, "not chosen"), nil
	case e.Role == image.RoleAttestation && d.opts.DropAttestations && d.format == Docker:
		d.leave(n, Skipped, "an attestation has no schema 2 form; taken out of the list")
		return fate{absent: true, drop: true}, nil
	case n.Doc == nil:
		d.blob(list, e, e.Desc, nil)
		return fate{desc: e.Desc}, nil
	}
	desc, err := d.document(n)
	return fate{desc: desc}, err
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

// leaveOut notes an entry that stays behind.
func (d *decider) leaveOut(list *image.Node, e image.Edge, action Action, reason string) fate {
	strip := d.opts.Selection.Absent == Strip
	if strip {
		reason += "; taken out of the list"
	} else {
		reason += "; kept in the list"
	}
	d.leave(&image.Node{Desc: e.Desc, Role: e.Role, Parent: list.Desc.Digest}, action, reason)
	return fate{absent: true, drop: strip}
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

// edit makes the list say what became of its entries.
func (d *decider) edit(n *image.Node, list *image.List, fates map[digest.Digest]fate) (*image.List, error) {
	edited, err := list.Keep(func(e ocispec.Descriptor) bool { return !fates[e.Digest].drop })
	if err != nil {
		return nil, fmt.Errorf("editing %s: %w", describe(n), err)
	}
	if len(edited.Instances()) == 0 && len(list.Instances()) > 0 {
		return nil, fmt.Errorf("%s: nothing would be left in the list: %w", describe(n), errdefs.ErrInvalidArgument)
	}
	changes := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range edited.Instances() {
		f := fates[e.Digest]
		to := ocispec.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}
		if !f.absent {
			to = ocispec.Descriptor{MediaType: f.desc.MediaType, Digest: f.desc.Digest, Size: f.desc.Size}
		}
		to.Annotations = d.repointed(list, e, fates)
		if to.Digest != e.Digest || to.Annotations != nil {
			changes[e.Digest] = to
		}
	}
	if edited, err = edited.UpdateAll(changes); err != nil {
		return nil, fmt.Errorf("editing %s: %w", describe(n), err)
	}
	return edited, nil
}

// repointed returns the annotations of an attestation that shall name its
// instance under a new digest; nil where nothing changes.
func (d *decider) repointed(list *image.List, e ocispec.Descriptor, fates map[digest.Digest]fate) map[string]string {
	of, attests := image.AttestationOf(e)
	f := fates[of]
	if !attests || f.absent || f.desc.Digest == "" || f.desc.Digest == of || list.MediaType() == image.MediaTypeDockerList {
		return nil
	}
	d.note("attestation %s names %s, which became %s", e.Digest, of, f.desc.Digest)
	annotations := maps.Clone(e.Annotations)
	annotations[image.AnnotationReferenceDigest] = f.desc.Digest.String()
	return annotations
}
