// Package image knows the documents that container images are made of: OCI
// manifests and indexes, Docker schema 2 manifests and manifest lists, schema 1
// manifests, and image configs. It decodes them strictly, keeps their bytes,
// edits lists, converts between the two families, and walks a graph of them.
//
// The package is pure: it does no input or output, keeps no clock and has no
// state. Everything it decodes is taken for hostile. What it returns has been
// checked: a digest in a decoded descriptor is valid, a size is not negative.
//
// Errors are of the kinds of containerd/errdefs: ErrInvalidArgument for what is
// malformed, ambiguous or nested too deep, ErrResourceExhausted for what is too
// large or too many, ErrNotImplemented for what is well-formed but not supported (an
// unknown digest algorithm, a conversion that has no target form), ErrDataLoss for
// bytes that do not match their digest or size, ErrNotFound for an instance that is
// not there.
package image
