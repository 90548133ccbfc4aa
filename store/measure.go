package store

import "context"

// Measurer is a store that can measure its files. Who asks finds out by a type assertion
// whether a store is one.
type Measurer interface {
	// Measure looks at all files of the store, which takes the longer the more there
	// are. Files that come or go meanwhile may be counted or not.
	Measure(ctx context.Context) (Disk, error)
}

// Disk is what the files of a store are for, with their sizes as the file system tells
// them: not rounded up to blocks, and without directories.
type Disk struct {
	Blobs   Amount // visible ones, and those that were just made or are about to go
	Partial Amount // blobs that are being written, or that are not complete
	Trash   Amount // blobs that are gone but for their files, and damaged ones set aside
	Own     Amount // all others: the database with small blobs, the journal
}

// Bytes returns the size of all files.
func (d Disk) Bytes() int64 { return d.Blobs.Bytes + d.Partial.Bytes + d.Trash.Bytes + d.Own.Bytes }
