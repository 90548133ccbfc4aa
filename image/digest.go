package image

import (
	// The algorithms of go-digest work only where these are linked in.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// ParseDigest checks a digest: sha256, sha384 or sha512 followed by a colon and
// exactly as many lower-case hex characters as the algorithm gives. Text that is
// not a digest by the grammar of the OCI image specification, or not of the right
// length, is ErrInvalidArgument; a digest of another algorithm is
// ErrNotImplemented.
func ParseDigest(s string) (digest.Digest, error) {
	algorithm, encoded, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("digest %s has no algorithm: %w", strictjson.Quote(s), errdefs.ErrInvalidArgument)
	}
	width, known := hexWidth(digest.Algorithm(algorithm))
	if !known {
		if !isAlgorithm(algorithm) || !onlyHas(encoded, isEncoded) {
			return "", fmt.Errorf("digest %s is malformed: %w", strictjson.Quote(s), errdefs.ErrInvalidArgument)
		}
		return "", fmt.Errorf("digest %s has an unknown algorithm: %w", strictjson.Quote(s), errdefs.ErrNotImplemented)
	}
	if len(encoded) != width || !isHex(encoded) {
		return "", fmt.Errorf("digest %s is not %s and %d lower-case hex characters: %w",
			strictjson.Quote(s), algorithm, width, errdefs.ErrInvalidArgument)
	}
	return digest.Digest(s), nil
}

// hexWidth returns how many hex characters a digest of a known algorithm has.
func hexWidth(alg digest.Algorithm) (width int, known bool) {
	switch alg {
	case digest.SHA256:
		return 64, true
	case digest.SHA384:
		return 96, true
	case digest.SHA512:
		return 128, true
	}
	return 0, false
}

// The digests of no bytes at all.
const (
	emptySHA256 digest.Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	emptySHA384 digest.Digest = "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da" +
		"274edebfe76f65fbd51ad2f14898b95b"
	emptySHA512 digest.Digest = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

// isEmptyDigest reports whether d is the digest of no bytes at all.
func isEmptyDigest(d digest.Digest) bool {
	return d == emptySHA256 || d == emptySHA384 || d == emptySHA512
}

// isAlgorithm reports whether s is an algorithm by the grammar of the OCI image
// specification: components of [a-z0-9]+ with one of [+._-] between them.
func isAlgorithm(s string) bool {
	for component := range strings.FieldsFuncSeq(s, isAlgorithmSeparator) {
		if !onlyHas(component, func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }) {
			return false
		}
	}
	// FieldsFuncSeq takes any run of separators for one, also at the ends.
	before := true
	for _, c := range s {
		separator := isAlgorithmSeparator(c)
		if before && separator {
			return false
		}
		before = separator
	}
	return !before
}

func isAlgorithmSeparator(c rune) bool { return strings.ContainsRune("+._-", c) }

// isHex reports whether all bytes of s are lower-case hex characters. It is asked of every
// digest that is looked up, and so has no branches to be taken wrongly.
func isHex(s string) bool {
	good := byte(1)
	for i := range len(s) {
		good &= lowerHex[s[i]]
	}
	return good == 1
}

var lowerHex = [256]byte{
	'0': 1, '1': 1, '2': 1, '3': 1, '4': 1, '5': 1, '6': 1, '7': 1, '8': 1, '9': 1,
	'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1,
}

// isEncoded reports whether c may stand behind the colon of any digest.
func isEncoded(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '=' || c == '_' || c == '-'
}

// onlyHas reports whether s is not empty and all its bytes are as wanted.
func onlyHas(s string, wanted func(c byte) bool) bool {
	for i := range len(s) {
		if !wanted(s[i]) {
			return false
		}
	}
	return s != ""
}

// DigestOf returns the digest by which a document of that media type is known:
// that of its bytes, but for MediaTypeDockerSchema1Signed that of the payload
// which its signatures sign. An empty alg means sha256.
//
// mediaType is believed: where none is known, pass Guess(data). Errors are
// ErrNotImplemented for an unknown algorithm, and ErrInvalidArgument for a signed
// manifest of which the payload cannot be told.
func DigestOf(data []byte, mediaType string, alg digest.Algorithm) (digest.Digest, error) {
	if alg == "" {
		alg = digest.SHA256
	}
	if _, known := hexWidth(alg); !known {
		return "", fmt.Errorf("digest algorithm %s is unknown: %w", strictjson.Quote(string(alg)), errdefs.ErrNotImplemented)
	}
	if mediaType != MediaTypeDockerSchema1Signed {
		return alg.FromBytes(data), nil
	}
	payload, err := signedPayload(data, Limits{}.WithDefaults())
	if err != nil {
		return "", fmt.Errorf("digest of signed schema 1 manifest: %w", err)
	}
	digester := alg.Digester()
	for _, part := range payload {
		digester.Hash().Write(part) // a hash never returns an error
	}
	return digester.Digest(), nil
}

// VerifyBytes checks that data is what desc describes: its length is desc.Size,
// unless that is -1 for not known, and its digest, taken as DigestOf does, is
// desc.Digest. What differs is ErrDataLoss, with an error that names what was
// wanted and what was found; a desc whose digest is not valid is an error as
// ParseDigest gives.
func VerifyBytes(data []byte, desc ocispec.Descriptor) error {
	want, err := ParseDigest(string(desc.Digest))
	if err != nil {
		return err
	}
	if desc.Size != -1 && int64(len(data)) != desc.Size {
		return fmt.Errorf("content of %s: %d bytes where its descriptor says %d: %w", want, len(data), desc.Size, errdefs.ErrDataLoss)
	}
	have, err := DigestOf(data, desc.MediaType, want.Algorithm())
	if err != nil {
		return fmt.Errorf("content of %s: %w", want, err)
	}
	if have != want {
		return fmt.Errorf("content of %s: it has digest %s: %w", want, have, errdefs.ErrDataLoss)
	}
	return nil
}
