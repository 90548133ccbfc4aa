package dir

import (
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
)

const (
	rootName    = "manifest.json"
	versionName = "version"
	// lockName is the file that whoever switches images holds. It stays behind,
	// empty: a lock file that is removed can be held by two.
	lockName = ".dhow.lock"

	manifestSuffix  = ".manifest.json"
	signaturePrefix = "signature-"
)

// entryKind says what a file of the directory is by its name.
type entryKind int

const (
	foreignEntry entryKind = iota // not ours: never read, never touched
	blobEntry
	manifestEntry
	signatureEntry
)

// entry is what the name of a file says.
type entry struct {
	kind entryKind
	// digest is that of the content, or of the manifest that is signed; empty for
	// a signature of the root.
	digest digest.Digest
	// number is that of a signature, from 1.
	number int
	isDir  bool // then it is not ours, whatever it is called
}

// parseEntry reads a file name. Names that appear once, as manifest.json and
// version do, are foreign to it.
func parseEntry(name string) entry {
	base, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		if n, ok := parseSignature(name); ok {
			return entry{kind: signatureEntry, number: n}
		}
		if d, ok := parsePrefix(name); ok {
			return entry{kind: blobEntry, digest: d}
		}
		return entry{}
	}
	d, ok := parsePrefix(base)
	if !ok {
		return entry{}
	}
	if "."+rest == manifestSuffix {
		return entry{kind: manifestEntry, digest: d}
	}
	if n, ok := parseSignature(rest); ok {
		return entry{kind: signatureEntry, digest: d, number: n}
	}
	return entry{}
}

// parseSignature reads signature-N in the one way that N is written.
func parseSignature(s string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(s, signaturePrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0 && strconv.Itoa(n) == digits
}

// parsePrefix is the inverse of prefix.
func parsePrefix(s string) (digest.Digest, bool) {
	alg, hex, named := strings.Cut(s, "-")
	if !named {
		alg, hex = digest.SHA256.String(), s
	}
	d, err := image.ParseDigest(alg + ":" + hex)
	if err != nil || prefix(d) != s {
		return "", false
	}
	return d, true
}

// prefix is what the names of all files of a digest begin with. The digest must
// have been checked.
func prefix(d digest.Digest) string {
	if d.Algorithm() == digest.SHA256 {
		return d.Encoded()
	}
	return d.Algorithm().String() + "-" + d.Encoded()
}

func blobName(d digest.Digest) string { return prefix(d) }

func manifestName(d digest.Digest) string { return prefix(d) + manifestSuffix }

// signatureName names a signature of the manifest with that checked digest, or of
// the root if it is empty.
func signatureName(d digest.Digest, n int) string {
	name := signaturePrefix + strconv.Itoa(n)
	if d == "" {
		return name
	}
	return prefix(d) + "." + name
}

// contentNames returns the names under which content of that type may be found,
// the likelier first.
func contentNames(mediaType string, d digest.Digest) [2]string {
	if image.IsDocument(mediaType) {
		return [2]string{manifestName(d), blobName(d)}
	}
	return [2]string{blobName(d), manifestName(d)}
}
