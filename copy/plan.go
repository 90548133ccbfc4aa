package copy

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// Plan is what a copy will do and why. Decide makes it; Run carries it out.
type Plan struct {
	// SourceRoot is what the source's reference means, Root what the
	// destination's will mean.
	SourceRoot ocispec.Descriptor
	Root       ocispec.Descriptor
	// Ops are the nodes that must be at the destination, children before parents,
	// each Key once.
	Ops []Op
	// Left are the descriptors that stay behind, as they will stand in the
	// receipt: skipped and missing ones.
	Left []Entry
	// Names are the names to move at the end, the root's first.
	Names []transport.Naming
	// Signatures are the simple signatures to be written, by manifest or list.
	Signatures map[digest.Digest][]transport.Signature
	// Notes tell what will be lost or done differently, one sentence each.
	Notes []string
}

// Op puts one node at the destination.
type Op struct {
	Node transport.Node
	// Action is Copied, Converted or Edited.
	Action Action
	// From is the descriptor at the source; it differs from Node.Desc where the
	// action is not Copied.
	From ocispec.Descriptor
	// Data are the bytes, where the plan has them: those of documents, and what
	// was converted. Nil: they are read from the source.
	Data []byte
	// Platform is the instance's to which the node belongs, printed; or empty.
	Platform string
	// Subject is set for the root of a referrer's or digest tag's graph.
	Subject digest.Digest
	// Reason says why, unless the node is plainly copied.
	Reason string
	// Children are the nodes at the destination below this one.
	Children []NodeKey

	parent digest.Digest // at the source
}

// NodeKey tells the nodes of a plan apart. A digest that is a layer of one manifest
// and a manifest itself is two nodes: there are places that keep the two apart.
type NodeKey struct {
	Digest   digest.Digest
	Document bool
}

// Key returns the node's.
func (op Op) Key() NodeKey {
	return NodeKey{op.Node.Desc.Digest, isDocument(op.Node.Role)}
}

// isDocument reports whether a node of that role is a manifest or a list.
func isDocument(role image.Role) bool {
	return role != image.RoleConfig && role != image.RoleLayer && role != image.RoleOpaque
}

// Entry is the operation's line in a receipt, if it is carried out as planned.
func (op Op) Entry() Entry {
	e := Entry{
		MediaType: op.Node.Desc.MediaType, Digest: op.Node.Desc.Digest, Size: op.Node.Desc.Size,
		Role: string(op.Node.Role), Platform: op.Platform, Parent: op.Node.Parent, Subject: op.Subject,
		Action: op.Action, Reason: op.Reason,
	}
	if op.From.Digest != op.Node.Desc.Digest {
		e.From = op.From.Digest
	}
	return e
}
