package store

import "context"

// Informer is a store that tells about itself as a whole. Who asks finds out by a type
// assertion whether a store is one.
type Informer interface {
	// Info counts what is in the store, which takes the longer the more that is. It
	// answers of a damaged store what it can.
	Info(ctx context.Context) (Info, error)
}

// State says what can be done with a store.
type State string

// The states.
const (
	Clean    State = "clean"     // read and written
	Degraded State = "degraded"  // read only, because it is damaged
	ReadOnly State = "read-only" // read only, because it was opened so
)

// Info is what a store tells about itself, with its form as JSON. What is nil or zero is
// not told, and Untold says why; but Reason is empty as well where there is none.
type Info struct {
	Engine   string  `json:"engine"`
	Location string  `json:"location"`         // a directory, or an address
	Format   int     `json:"format,omitempty"` // the version of its files, from 1 on
	State    State   `json:"state,omitempty"`
	Reason   string  `json:"reason,omitempty"`   // why it is not Clean
	Names    *int    `json:"names,omitempty"`    // without dangling records
	Dangling *int    `json:"dangling,omitempty"` // records
	Blobs    *Amount `json:"blobs,omitempty"`    // that are visible by their records
	Files    *Amount `json:"files,omitempty"`    // of these, in files of their own
	Inline   *Amount `json:"inline,omitempty"`   // of these, in the database
	Partial  *Amount `json:"partial,omitempty"`  // blobs that are not complete
	Leases   *int    `json:"leases,omitempty"`   // that are not over
	Free     *int64  `json:"free,omitempty"`     // bytes that can still be written where it is
	// Untold says why something is not told, by its name in JSON.
	Untold map[string]string `json:"untold,omitempty"`
}

// Amount is a number of blobs.
type Amount struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Add adds one.
func (a *Amount) Add(bytes int64) {
	a.Count++
	a.Bytes += bytes
}

// Leave notes that something is not told.
func (i *Info) Leave(why string, fields ...string) {
	if i.Untold == nil {
		i.Untold = map[string]string{}
	}
	for _, f := range fields {
		i.Untold[f] = why
	}
}
