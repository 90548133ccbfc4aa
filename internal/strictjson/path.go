package strictjson

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/go-json-experiment/json/jsontext"
)

// maxQuoted is how many bytes of untrusted text an error shows.
const maxQuoted = 256

// segment is one step of a path: an element of an array or, where index is
// negative, a member of an object.
type segment struct {
	name  []byte
	index int
}

// Errorf returns an error of that kind for the value at the current path. The
// kind is one of errdefs. Untrusted text in args belongs in Quote.
func (r *Reader) Errorf(kind error, format string, args ...any) error {
	return &pathError{path: r.Path(), text: fmt.Sprintf(format, args...), kind: kind}
}

// Missing returns the error for an object, the one at the current path, that
// lacks a field: the name is absent, or its value is null.
func (r *Reader) Missing(name string) error {
	r.path = append(r.path, segment{name: []byte(name), index: -1})
	defer func() { r.path = r.path[:len(r.path)-1] }()
	return r.Errorf(errdefs.ErrInvalidArgument, "is missing or null")
}

// Path returns the current path, as in manifests[3].platform.os, cut where it is
// long, or "document" at the top.
func (r *Reader) Path() string {
	if len(r.path) == 0 {
		return "document"
	}
	var b strings.Builder
	for _, s := range r.path {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case !plain(s.name):
			b.WriteString("[" + Quote(s.name) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.Write(s.name)
		}
		if b.Len() > maxQuoted {
			return b.String()[:maxQuoted] + "…"
		}
	}
	return b.String()
}

// plain reports whether a name can stand in a path unquoted.
func plain(name []byte) bool {
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxQuoted
}

// Quote returns untrusted text for use in a message: quoted, with control and
// other odd characters escaped, and of a long text only the first 256 bytes.
func Quote[T ~string | ~[]byte](text T) string {
	s := text
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(string(s))
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(string(s[:cut])) + "…"
}

// pathError is an error at a place in a document.
type pathError struct {
	path, text string
	kind       error
}

func (e *pathError) Error() string { return e.path + ": " + e.text + ": " + e.kind.Error() }
func (e *pathError) Unwrap() error { return e.kind }

// syntaxError returns err, which jsontext gave, in this package's form.
func (r *Reader) syntaxError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.Errorf(errdefs.ErrInvalidArgument, "is not JSON: it ends too early")
	}
	// The wrapped error alone: the text around it repeats untrusted names uncut.
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return r.Errorf(errdefs.ErrInvalidArgument, "is not JSON: %v at byte %d", syntax.Err, syntax.ByteOffset)
	}
	return r.Errorf(errdefs.ErrInvalidArgument, "is not JSON: %v", err)
}
