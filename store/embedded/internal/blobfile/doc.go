// Package blobfile keeps the files of an embedded store: blobs under their digests,
// what is being written, what is on its way out, and what was found damaged.
//
//	blobs/<algorithm>/<first two characters>/<hex>   a blob
//	ingest/<name>                                    bytes that are not complete, or not published
//	ingest/<name>.ref                                what else is to be known of them
//	trash/<name>                                     what was collected and is being unlinked
//	bad/<hex>.<n>                                    what was damaged and set aside
//
// It knows nothing of names, leases and databases: what is visible the engine decides,
// which records a file only after Publish has made it durable, and has nobody publish
// a digest while it is being trashed.
//
// The names of what is being written, which tell the refs, are nameOf's, and note has
// what a .ref is like. Names in trash/ mean nothing. Those in bad/ count from 1.
//
// Directories have mode 0700 and files 0600, whatever the umask. No symbolic link is
// followed, and nothing but a regular file is opened as one: whatever else is in the
// place of a blob is a damaged blob, in the place of bytes being written it is removed,
// and in the place of a directory it is ErrFailedPrecondition.
//
// Errors are of the kinds of containerd/errdefs. A disk or quota that is full is
// ErrResourceExhausted, a digest that is not valid what image.ParseDigest says. A
// method whose context ends returns the context's error at once; what it had begun
// stops as soon as it can.
package blobfile
