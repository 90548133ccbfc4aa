// Package blob moves the bytes of blobs from and to one repository of a registry.
//
// Open is a download: one stream for what is small, several closed ranges at once
// for what is large, resumed after a break at the byte that was read last. Push is
// an upload: the registry is asked to take the blob from another repository first,
// then it is sent in one request, and after a break it goes on where the registry
// says that it has got to.
//
// The package makes requests and follows answers. Authentication, waiting for a
// registry that is busy, repeating a request that could not be answered, the limits
// on requests at once and the policy on where a registry may send us belong to the
// Doers that it is given. A request with a body is the exception: it is sent once,
// without http.Request.GetBody, because what to send next is for the registry to say.
//
// # Errors
//
// Of the kinds of errdefs: ErrNotFound for a blob that is not there,
// ErrPermissionDenied for 401 and 403, ErrResourceExhausted for a blob that is too
// large for the registry (413), ErrDataLoss for bytes that do not match the
// descriptor, ErrInvalidArgument for a descriptor that is none, and ErrUnavailable
// for a registry that fails, breaks off without progress, or answers what the
// protocol does not have. Behind an answer that is an error is a
// *wire.ResponseError. A message names the registry, the repository and the digest.
//
// # Concurrency
//
// A Repository may be used by several goroutines at once. Calls end within 100 ms
// of their context, as far as the Doers do.
package blob
