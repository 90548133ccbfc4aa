// Package registry is the client for registries: it reads, writes, lists and deletes
// what the OCI distribution specification calls manifests, tags and referrers, and
// hands out what package blob needs for the contents that these name.
//
// A Client holds what is shared: connections, tokens, and what was learned of each
// server. Of it comes a Repository for each name and use. Where the configuration
// has mirrors for a name, its Repository asks them in order and then the registry.
//
// What a server says is checked before it is returned: a document against the digest
// that it was asked for, a list against the grammar of its names. A document that
// does not match is never returned, whoever sent it.
//
// Authentication is done by oras.land/oras-go/v2 (see docs/adr/0006-registry-client.md);
// all requests go through package wire, which decides where they may go and with
// what. A credential is looked up for the host that is going to be talked to, and
// for the repository there. None is in an error or a log record.
//
// # Errors
//
// Errors name what was done to which reference, and are of the kinds of errdefs:
// ErrNotFound for what is not there, ErrPermissionDenied for 401 and 403 and for
// what configuration or policy forbid, ErrNotImplemented for what the registry does
// not do, ErrDataLoss for content that does not match its digest,
// ErrResourceExhausted for what is too large or too much, ErrInvalidArgument for
// arguments that are not valid and for requests that the registry takes for so, and
// ErrUnavailable for a registry that cannot be reached, fails, or answers with what
// is no registry's answer. ErrTypeRefused and ErrBlobUnknown say more where they
// apply. A *wire.ResponseError is in the chain where an answer was the reason, and
// wire.ErrNotRegistry where it was not one of a registry.
package registry
