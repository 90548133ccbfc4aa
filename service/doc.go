// Package service is the image service of a local store: it finds the image that a
// reference or an ID means, chooses the instance for a platform among those that are
// there, and keeps, moves, saves and removes images.
//
// A name points at a target: a list or a manifest. Of a list any part may be present. An
// instance is complete when its manifest, its config and all its layers are there; only
// a complete instance serves a platform, or for Manifest and Size one of which the manifest
// is there, and for History one with its config; which one it is says the table of package
// platform. The ID of an image is the digest of its target; the digests of the lists and
// manifests in it and of its configs find it as well, and so does the beginning of any of
// them.
//
// Every answer is that of one moment: a method that looks at several things looks at all
// of them in one view of the store. Errors are of the kinds of containerd/errdefs, and
// say which reference they are about. All methods of Service are safe for concurrent use.
package service
