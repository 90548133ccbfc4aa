// Package ref knows the names of images: references into registries, their parts,
// and the names inside an OCI layout. It stands on
// github.com/distribution/reference for the grammar and for what a short name
// means (busybox is docker.io/library/busybox), and refuses some of what that
// package lets pass, because names come from untrusted places and become URLs,
// paths and lines on a terminal:
//
//   - A host is a DNS name, an IPv4 address, or an IPv6 address in brackets
//     without zone; a port is 1 to 65535. Non-ASCII hosts are refused; punycode
//     is taken as it is.
//   - One place has one name: hosts are lower case, IPv6 addresses in their
//     shortest form, ports have no leading zeros, names no trailing dot.
//   - A first component with upper case that is no host by a dot, a port or being
//     localhost is a repository in upper case, and refused as such.
//   - A name whose familiar form reads as an image ID or a digest is refused.
//   - A reference carries no credentials, and no error repeats any.
//   - A digest is one that can be verified: sha256, sha384 or sha512.
//
// The package is pure. Errors are errdefs.ErrInvalidArgument, and for a digest of
// another algorithm errdefs.ErrNotImplemented; they quote what they were given in
// ASCII, with other characters as escaped code points.
package ref

import (
	"cmp"
	_ "crypto/sha256" // the algorithms that go-digest may then verify
	_ "crypto/sha512"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// DefaultTag is the tag that Tagged gives to a reference without any.
const DefaultTag = "latest"

// dockerHub is the host of short names, whose own repositories are in library.
const (
	dockerHub = "docker.io"
	official  = "library/"
)

// maxReference is more than the longest reference that is valid: a host of 255
// bytes with its port, a path of 255, a tag of 128 and a SHA-512 digest.
const maxReference = 1024

// Reference is the name of an image in a registry: a repository with a tag, a
// digest, both or neither. Parse makes one; it is then valid and normalised, and
// nothing changes it. Two references may be compared with ==. The zero value
// names nothing.
type Reference struct {
	domain string
	path   string
	tag    string
	digest digest.Digest
}

// Parse reads a reference, short or full:
//
//	[host[:port]/]path[:tag][@digest]
//
// The first component is a host if it has a dot or a port, or is localhost;
// otherwise the host is docker.io. No tag is added. Whatever is not valid is
// errdefs.ErrInvalidArgument, a digest of an unknown algorithm
// errdefs.ErrNotImplemented.
func Parse(s string) (Reference, error) {
	name, suffix, pinned := strings.Cut(s, "@")
	var d digest.Digest
	if pinned {
		// First of all, for what stands before an @ may be a password.
		var err error
		if d, err = parseDigest(suffix); err != nil {
			return Reference{}, fmt.Errorf("reference: %w", err)
		}
	}
	r, problem := parseName(name)
	if problem != "" {
		return Reference{}, fmt.Errorf("reference %s: %s: %w", quoted(name), problem, errdefs.ErrInvalidArgument)
	}
	r.digest = d
	return r, nil
}

// parseName reads a reference without a digest.
func parseName(s string) (r Reference, problem string) {
	switch {
	case s == "":
		return r, "it is empty"
	case len(s) > maxReference:
		return r, fmt.Sprintf("it has %d bytes of at most %d", len(s), maxReference)
	case strings.Contains(s, "://"):
		return r, "it is a URL; leave the scheme out"
	}
	host, rest := splitHost(s)
	path, tag, tagged := strings.Cut(rest, ":")
	if host == "" {
		host = dockerHub
	} else if host, problem = normalHost(host); problem != "" {
		return r, problem
	}
	if tagged {
		if problem = tagProblem(tag); problem != "" {
			return r, cmp.Or(pathProblem(path), problem)
		}
	}
	named, err := reference.ParseNormalizedNamed(host + "/" + rest)
	if err != nil {
		return r, cmp.Or(pathProblem(path), err.Error())
	}
	r = Reference{domain: reference.Domain(named), path: reference.Path(named), tag: tag}
	return r, r.ambiguous()
}

// idPattern is what an image ID looks like without its algorithm.
var idPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ambiguous returns what is wrong when the familiar form could be taken for
// something that is no reference.
func (r Reference) ambiguous() string {
	short, ok := strings.CutPrefix(r.path, official)
	if r.domain != dockerHub || !ok {
		return ""
	}
	if idPattern.MatchString(short) {
		return "the repository reads as an image ID"
	}
	if digest.Digest(short+":"+r.tag).Validate() == nil {
		return "it reads as a digest"
	}
	return ""
}

// Domain returns the registry's host, with its port if one was given: never empty
// for a parsed reference. Docker Hub is docker.io.
func (r Reference) Domain() string { return r.domain }

// Path returns the repository's name in the registry, as in library/busybox.
func (r Reference) Path() string { return r.path }

// Name returns the repository's full name: the domain and the path.
func (r Reference) Name() string {
	if r == (Reference{}) {
		return ""
	}
	return r.domain + "/" + r.path
}

// Tag returns the tag, or "".
func (r Reference) Tag() string { return r.tag }

// Digest returns the digest, or "". It is of an algorithm that can be verified.
func (r Reference) Digest() digest.Digest { return r.digest }

// IsNameOnly reports whether there is neither tag nor digest.
func (r Reference) IsNameOnly() bool { return r.tag == "" && r.digest == "" }

// String returns the full form, which Parse reads as the same reference.
func (r Reference) String() string { return r.Name() + r.suffix() }

// Familiar returns the short form that people use: without docker.io, and without
// library for its official images. Parse reads it as the same reference; where
// the short form would be read as another one, the full form is returned.
func (r Reference) Familiar() string {
	if r.domain != dockerHub {
		return r.String()
	}
	short := r.path
	if name, ok := strings.CutPrefix(r.path, official); ok && !strings.Contains(name, "/") {
		short = name
	}
	if host, _ := splitHost(short); host != "" {
		return r.String()
	}
	return short + r.suffix()
}

func (r Reference) suffix() string {
	var s string
	if r.tag != "" {
		s = ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest.String()
	}
	return s
}

// Tagged returns the reference with DefaultTag if it has neither tag nor digest,
// and unchanged otherwise.
func (r Reference) Tagged() Reference {
	if r != (Reference{}) && r.IsNameOnly() {
		r.tag = DefaultTag
	}
	return r
}

// WithTag returns the reference with that tag in the place of its own; a digest
// stays. A tag that is not valid, or that makes the reference read as a digest,
// is errdefs.ErrInvalidArgument, and so is a tag for the zero Reference.
func (r Reference) WithTag(tag string) (Reference, error) {
	problem := tagProblem(tag)
	if r == (Reference{}) {
		problem = "the reference names nothing"
	}
	tagged := r
	tagged.tag = tag
	if problem == "" {
		problem = tagged.ambiguous()
	}
	if problem != "" {
		return Reference{}, fmt.Errorf("tag %s for %s: %s: %w", quoted(tag), quoted(r.Name()), problem, errdefs.ErrInvalidArgument)
	}
	return tagged, nil
}

// WithDigest returns the reference with that digest in the place of its own; a
// tag stays. A digest that is not valid, or any for the zero Reference, is
// errdefs.ErrInvalidArgument, and one of an unknown algorithm
// errdefs.ErrNotImplemented.
func (r Reference) WithDigest(d digest.Digest) (Reference, error) {
	if r == (Reference{}) {
		return r, fmt.Errorf("digest %s: the reference names nothing: %w", quoted(d.String()), errdefs.ErrInvalidArgument)
	}
	if _, err := parseDigest(d.String()); err != nil {
		return Reference{}, fmt.Errorf("reference %s: %w", quoted(r.Name()), err)
	}
	r.digest = d
	return r, nil
}

// minEncoded is how long the shortest digest of any algorithm is that the grammar
// of references knows.
const minEncoded = 32

// parseDigest reads what stands after the @ of a reference. What does not even
// begin as a digest is not repeated: in user:p@ss@host it is part of a password.
func parseDigest(s string) (digest.Digest, error) {
	d := digest.Digest(s)
	err := d.Validate()
	if err == nil {
		return d, nil
	}
	algorithm, encoded, _ := strings.Cut(s, ":")
	switch {
	case digest.Algorithm(algorithm).Available() && !strings.ContainsAny(encoded, "@/"):
		return "", fmt.Errorf("digest %s: want %d lower-case hex characters: %w", quoted(s), digest.Algorithm(algorithm).Size()*2, errdefs.ErrInvalidArgument)
	case errors.Is(err, digest.ErrDigestUnsupported) && len(encoded) >= minEncoded:
		return "", fmt.Errorf("digest algorithm %s is none of sha256, sha384, sha512: %w", quoted(algorithm), errdefs.ErrNotImplemented)
	default:
		return "", fmt.Errorf("what follows the @ is not a digest (not shown: a user name and password do not belong here): %w", errdefs.ErrInvalidArgument)
	}
}

// maxQuoted is how many bytes of a text are repeated in an error.
const maxQuoted = 256

// quoted is text from outside in a message: cut, and in ASCII, so that nothing
// in it looks like something else.
func quoted(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%+q...", s[:maxQuoted])
	}
	return fmt.Sprintf("%+q", s)
}
