// Package blobfile keeps the files of an embedded store: blobs under their digests,
// what is being written, what is on its way out, and what was found damaged.
//
//	blobs/<algorithm>/<first two characters>/<hex>   a visible blob, mode 0600
//	ingest/<name>                                    bytes that are not complete, or not published
//	trash/<name>                                     what was collected and is being unlinked
//	bad/<hex>.<n>                                    what was damaged and set aside
//
// It knows nothing of names, leases and databases: what is visible the engine decides,
// which records a file only after Publish has made it durable.
package blobfile
