package ref

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// The limits of names, in bytes.
const (
	maxTag        = 128
	maxLayoutName = 1024
)

// ValidName checks the name of a repository in a registry, without the host:
// components of lower-case letters and digits, joined inside by one dot, one or
// two underscores or any dashes, with a slash between them, at most 255 bytes in
// all. Anything else is errdefs.ErrInvalidArgument, and the error shows the
// component.
func ValidName(s string) error {
	return invalid("repository name", s, pathProblem(s))
}

// ValidTag checks a tag: 1 to 128 letters, digits, underscores, dots and dashes,
// with neither a dot nor a dash first. Anything else is
// errdefs.ErrInvalidArgument, and the error shows the character.
func ValidTag(s string) error {
	return invalid("tag", s, tagProblem(s))
}

// ValidLayoutName checks the name of an entry in the index.json of an OCI layout
// by the grammar of the annotation org.opencontainers.image.ref.name: components
// of letters and digits, joined inside by one of - . _ : @ + or by two dashes,
// with a slash between them. More than 1024 bytes are refused too. Errors are
// errdefs.ErrInvalidArgument.
func ValidLayoutName(s string) error {
	return invalid("layout reference", s, layoutNameProblem(s))
}

func invalid(what, s, problem string) error {
	if problem == "" {
		return nil
	}
	return fmt.Errorf("%s %s: %s: %w", what, quoted(s), problem, errdefs.ErrInvalidArgument)
}

func pathProblem(s string) string {
	switch {
	case s == "":
		return "the repository is empty"
	case len(s) > reference.RepositoryNameTotalLengthMax:
		return fmt.Sprintf("the repository has %d bytes of at most %d", len(s), reference.RepositoryNameTotalLengthMax)
	}
	for c := range strings.SplitSeq(s, "/") {
		if c == "" {
			return "a component of the repository is empty"
		}
		// The library decides; a host before it keeps it from taking c for one.
		if _, err := reference.WithName("localhost/" + c); err != nil {
			return fmt.Sprintf("%s in the repository is not lower-case letters and digits joined by one dot, one or two underscores or dashes", quoted(c))
		}
	}
	return ""
}

func tagProblem(s string) string {
	switch {
	case s == "":
		return "the tag is empty"
	case len(s) > maxTag:
		return fmt.Sprintf("the tag has %d bytes of at most %d", len(s), maxTag)
	case s[0] == '.' || s[0] == '-':
		return fmt.Sprintf("the tag begins with %s", quoted(s[:1]))
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return !letterOrDigit(r) && !strings.ContainsRune("_.-", r) }); i >= 0 {
		return fmt.Sprintf("the tag has %s, which is not a letter, digit, underscore, dot or dash", quoted(first(s[i:])))
	}
	return ""
}

func layoutNameProblem(s string) string {
	if s == "" {
		return "it is empty"
	}
	if len(s) > maxLayoutName {
		return fmt.Sprintf("it has %d bytes of at most %d", len(s), maxLayoutName)
	}
	for c := range strings.SplitSeq(s, "/") {
		if !layoutComponent(c) {
			return fmt.Sprintf("%s in it is not letters and digits joined by one of - . _ : @ + or by two dashes", quoted(c))
		}
	}
	return ""
}

// layoutComponent steps over pairs of alphanumeric text and separator.
func layoutComponent(s string) bool {
	for {
		end := strings.IndexFunc(s, func(r rune) bool { return !letterOrDigit(r) })
		if end < 0 {
			return s != ""
		}
		if end == 0 {
			return false
		}
		s = s[end:]
		switch {
		case strings.HasPrefix(s, "--"):
			s = s[2:]
		case strings.IndexByte("-._:@+", s[0]) >= 0:
			s = s[1:]
		default:
			return false
		}
	}
}

func letterOrDigit(r rune) bool { return lowerOrDigit(r) || 'A' <= r && r <= 'Z' }

// first returns the first character of a text, or the byte that is none.
func first(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}
