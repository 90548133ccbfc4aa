// Package credentials knows who may log in where: from flags, the environment,
// the files of containers and Docker, and credential helpers.
//
// A Keyring has what the machine has; Static has one credential for one registry;
// a Chain asks several in turn. docs/credentials.md has the places, their order
// and the formats.
//
// What is secret is a Secret, which no way of printing shows. Errors and log
// records name files, keys and helpers, and never what a file holds or a helper
// says. A credential is for the host that it is asked for and for no other: that
// a mirror or a redirect gets none of another host is for the caller to hold, by
// asking for the host that it is going to talk to.
//
// Errors are of the kinds errdefs.ErrInvalidArgument (a file, a name or an answer
// is malformed), errdefs.ErrResourceExhausted (it is too large),
// errdefs.ErrPermissionDenied (a file may not be read or changed),
// errdefs.ErrNotFound (a file that was named is not there, or there was nothing
// to remove) and errdefs.ErrFailedPrecondition (a credential helper is missing,
// failed or gave no answer in time).
package credentials
