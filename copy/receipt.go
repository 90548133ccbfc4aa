package copy

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/transport"
)

// Action says what became of a descriptor.
type Action string

// The actions of a receipt.
const (
	Copied    Action = "copied"    // its bytes were moved as they are
	Reused    Action = "reused"    // the destination had them, and they were verified
	Mounted   Action = "mounted"   // the destination took them from another name of its own
	Converted Action = "converted" // it was written in another form, under another digest
	Edited    Action = "edited"    // a list was written without some entries, or with changed ones
	Skipped   Action = "skipped"   // it was left out
	Missing   Action = "missing"   // the source does not have it
)

// Receipt says of every descriptor that a copy met what became of it. Its JSON
// form is docs/receipt.schema.json.
type Receipt struct {
	// Version is that of the form of the receipt: 1.
	Version int `json:"version"`
	// Source and Destination are the references as the caller wrote them; Image
	// leaves them to the caller.
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination,omitempty"`
	// SourceRoot is what the source's reference means, Root what the destination's
	// means now; it is empty where the copy failed.
	SourceRoot ocispec.Descriptor `json:"sourceRoot"`
	Root       ocispec.Descriptor `json:"root"`
	// Entries has one line for each descriptor, parents before children.
	Entries []Entry `json:"descriptors"`
	// Names are the names beside the destination's own that were moved.
	Names []Name `json:"names,omitempty"`
	// Notes tell what was lost or done differently, one sentence each.
	Notes []string `json:"notes,omitempty"`
	// Totals sum the entries up.
	Totals Totals `json:"totals"`
}

// Entry is one descriptor's line in a receipt.
type Entry struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	// Size is in bytes, -1 if not known.
	Size int64 `json:"size"`
	// Role is a role of package image, or "signature" for a simple signature.
	Role string `json:"role"`
	// Platform is the instance's, as image tools print it.
	Platform string `json:"platform,omitempty"`
	// Parent is the document by which the descriptor was met; empty for a root.
	Parent digest.Digest `json:"parent,omitempty"`
	// Subject is the digest that a referrer or digest tag belongs to.
	Subject digest.Digest `json:"subject,omitempty"`
	Action  Action        `json:"action"`
	// Verifier is who has checked copied bytes against the descriptor, if the copy
	// itself has not.
	Verifier transport.Verifier `json:"verifier,omitempty"`
	// From is the descriptor's digest at the source, where that is another one.
	From digest.Digest `json:"from,omitempty"`
	// Reason says why, for all but plainly copied and reused descriptors.
	Reason string `json:"reason,omitempty"`
}

// Name is a name that was moved.
type Name struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// Totals count descriptors by action, and bytes.
type Totals struct {
	Descriptors map[Action]int `json:"descriptors"`
	// BytesCopied were moved to the destination, BytesReused were there already.
	BytesCopied int64 `json:"bytesCopied"`
	BytesReused int64 `json:"bytesReused"`
	// BytesVerifiedAtDestination are those of BytesCopied that the copy itself has not
	// verified.
	BytesVerifiedAtDestination int64 `json:"bytesVerifiedAtDestination,omitempty"`
}

// sum fills Totals in.
func (r *Receipt) sum() {
	r.Totals = Totals{Descriptors: map[Action]int{}}
	for _, e := range r.Entries {
		r.Totals.Descriptors[e.Action]++
		switch e.Action {
		case Copied, Converted, Edited:
			r.Totals.BytesCopied += max(e.Size, 0)
			if e.Verifier == transport.VerifiedAtDestination {
				r.Totals.BytesVerifiedAtDestination += max(e.Size, 0)
			}
		case Reused, Mounted:
			r.Totals.BytesReused += max(e.Size, 0)
		}
	}
}
