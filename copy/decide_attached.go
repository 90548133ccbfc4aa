package copy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// attachedGraphs decides about referrers and digest tags. They are never
// converted: what signs or describes a digest does so byte for byte.
func (d *decider) attachedGraphs() error {
	for _, a := range d.Attached {
		d.graph, d.attaches, d.subject = a.Graph, true, a.Subject
		root := a.Graph.Root
		now, carried := d.decided[a.Subject]
		switch {
		case a.Name == "" && d.opts.NoReferrers:
			d.leave(root, Skipped, "referrers are not to be carried")
		case a.Name != "" && d.opts.NoDigestTags:
			d.leave(root, Skipped, "digest tags are not to be carried")
		case a.Signature && d.opts.RemoveSignatures:
			d.leave(root, Skipped, "signatures are to be removed")
		case !carried:
			d.leave(root, Skipped, fmt.Sprintf("its subject %s is not copied", a.Subject))
		case now.Digest != a.Subject:
			d.leave(root, Skipped, fmt.Sprintf("its subject %s became %s", a.Subject, now.Digest))
		default:
			if err := d.attach(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// attach plans one attached graph and its name, if the destination takes all of it.
func (d *decider) attach(a Attached) error {
	for _, n := range a.Graph.Nodes() {
		if n.Doc != nil && !d.takes(n.Desc.MediaType) {
			d.leave(a.Graph.Root, Skipped, fmt.Sprintf("%s is a %q, which the destination does not take", n.Desc.Digest, n.Desc.MediaType))
			return nil
		}
	}
	desc, err := d.document(a.Graph.Root)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", describeAttached(a), a.Subject, err)
	}
	naming := transport.Naming{Name: a.Name, Desc: desc}
	if a.Name == "" {
		naming.Subject = a.Subject
	}
	d.plan.Names = append(d.plan.Names, naming)
	return nil
}

// signatures decides about the simple signatures.
func (d *decider) signatures() error {
	for _, dg := range slices.Sorted(maps.Keys(d.Signatures)) {
		sigs := d.Signatures[dg]
		_, carried := d.decided[dg]
		switch {
		case d.opts.RemoveSignatures:
			d.leaveSignatures(dg, sigs, "signatures are to be removed")
		case !carried:
			d.leaveSignatures(dg, sigs, "what they sign is not copied")
		case d.acc.NoSignatures != "":
			return fmt.Errorf("%s has %d signatures: %s; they can be removed: %w", dg, len(sigs), d.acc.NoSignatures, errdefs.ErrNotImplemented)
		default:
			d.plan.Signatures[dg] = sigs
		}
	}
	return nil
}

// leaveSignatures notes the signatures of a document that stay behind.
func (d *decider) leaveSignatures(of digest.Digest, sigs []transport.Signature, reason string) {
	for _, sig := range sigs {
		d.plan.Left = append(d.plan.Left, signatureEntry(of, sig, Skipped, reason))
	}
}

// signatureEntry is the line of a simple signature in a receipt.
func signatureEntry(of digest.Digest, sig transport.Signature, action Action, reason string) Entry {
	return Entry{
		MediaType: "application/octet-stream", Digest: digest.FromBytes(sig), Size: int64(len(sig)),
		Role: "signature", Subject: of, Action: action, Reason: reason,
	}
}

// entryOf is the line of a node in a receipt.
func entryOf(n *image.Node, action Action, reason string) Entry {
	return Entry{
		MediaType: n.Desc.MediaType, Digest: n.Desc.Digest, Size: n.Desc.Size,
		Role: string(n.Role), Platform: platformOf(n.Desc.Platform), Parent: n.Parent, Action: action, Reason: reason,
	}
}
