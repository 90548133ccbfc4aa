package copy

import (
	"github.com/opencontainers/go-digest"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events, in the order in which a copy sends them.
const (
	// EventPlanned comes once: Total is the sum of the sizes that may have to be
	// moved, Count the number of nodes.
	EventPlanned EventKind = "planned"
	// EventGrown comes when something attached to the image was found while that
	// moved already: Total and Count have grown by it.
	EventGrown EventKind = "grown"
	// EventStarted: the node's turn has come.
	EventStarted EventKind = "started"
	// EventAdvanced: Moved bytes of the node have been read so far. It comes at
	// most ten times a second for a node, and not at all for small ones.
	EventAdvanced EventKind = "advanced"
	// EventFinished: Action says what became of the node.
	EventFinished EventKind = "finished"
	// EventCommitted comes once, last: the names have moved.
	EventCommitted EventKind = "committed"
)

// Event is one step of a copy. It is what bars, lines and JSON are made of.
type Event struct {
	Kind EventKind `json:"event"`
	// Digest, MediaType, Role, Platform and Size describe the node.
	Digest    digest.Digest `json:"digest,omitempty"`
	MediaType string        `json:"mediaType,omitempty"`
	Role      string        `json:"role,omitempty"`
	Platform  string        `json:"platform,omitempty"`
	Size      int64         `json:"size,omitempty"`
	// Moved is the number of bytes of the node read so far.
	Moved int64 `json:"moved,omitempty"`
	// Action and Reason are those of the receipt.
	Action Action `json:"action,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Done and Total are bytes, Finished and Count are nodes of the whole copy.
	Done     int64 `json:"done"`
	Total    int64 `json:"total"`
	Finished int   `json:"finished"`
	Count    int   `json:"count"`
}
