// Package hosts knows what the machine's configuration says about registries:
// under which name, at which address and over which kind of connection the
// repository of an image is reached, which mirrors come before it, and what is
// blocked.
//
// It reads the files that other tools read too: registries.conf in its second
// version with its drop-ins, the certs.d directories of containers, Docker and
// containerd, and containerd's hosts.toml. docs/hosts.md has the places, the
// keys, and what goes before what where several files speak of one registry.
//
// There is one answer for everything that is done with a name: a location that
// replaces a prefix does so for pulls, pushes, lists and deletions alike. Only
// mirrors are for pulls alone.
//
// Errors are of the kinds errdefs.ErrInvalidArgument (a file or a value in it is
// wrong), errdefs.ErrResourceExhausted (a file is too large),
// errdefs.ErrPermissionDenied (the configuration forbids it, or a file may not be
// read) and errdefs.ErrNotFound (a file that was named is not there). They name
// the file, the line and the key.
package hosts
