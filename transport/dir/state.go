package dir

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/transport"
)

// What a directory may hold of signatures, for one manifest.
const (
	maxSignatures      = 128
	maxSignatureBytes  = 4 << 20
	maxSignaturesBytes = 16 << 20 // all of them together
)

// document is a manifest or list that was read, and matches its descriptor.
type document struct {
	desc ocispec.Descriptor
	data []byte
}

// is reports whether the document has that digest, of whatever algorithm.
func (d document) is(want digest.Digest) bool {
	return image.VerifyBytes(d.data, ocispec.Descriptor{MediaType: d.desc.MediaType, Digest: want, Size: -1}) == nil
}

// readRoot reads manifest.json. Its type is what it says or else looks like.
func readRoot(root *os.Root, lim image.Limits) (document, error) {
	data, err := rootfile.Read(root, rootName, lim.DocumentBytes)
	if err != nil {
		return document{}, err
	}
	mediaType := image.Guess(data)
	if mediaType == "" {
		return document{}, fmt.Errorf("%s, of %d bytes, is neither a manifest nor a list: %w", rootName, len(data), errdefs.ErrInvalidArgument)
	}
	d, err := rootDigest(root, data, mediaType)
	if err != nil {
		return document{}, fmt.Errorf("%s: %w", rootName, err)
	}
	return document{ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}, data}, nil
}

// rootDigest returns the digest by which the root was known where it was written
// from: a digest-named file of another algorithm than sha256 tells it.
func rootDigest(root *os.Root, data []byte, mediaType string) (digest.Digest, error) {
	for _, alg := range []digest.Algorithm{digest.SHA512, digest.SHA384} {
		d, err := image.DigestOf(data, mediaType, alg)
		if err != nil {
			return "", err
		}
		same, err := holds(root, manifestName(d), data)
		if err != nil {
			return "", err
		}
		if same {
			return d, nil
		}
	}
	return image.DigestOf(data, mediaType, digest.SHA256)
}

// holds reports whether a file is there and has exactly this content.
func holds(root *os.Root, name string, data []byte) (bool, error) {
	got, err := rootfile.Read(root, name, int64(len(data)))
	switch {
	case errdefs.IsNotFound(err), errdefs.IsResourceExhausted(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return bytes.Equal(got, data), nil
}

// rootSignatures reads the signatures of the root, which has that digest. While
// a Destination switches them they stand under the names of the digest: see
// signatureSteps.
func rootSignatures(root *os.Root, d digest.Digest) ([]transport.Signature, error) {
	sigs, err := readSignatures(root, "")
	if err != nil || len(sigs) > 0 {
		return sigs, err
	}
	return readSignatures(root, d)
}

// readSignatures reads the signatures of the manifest with that digest, or, if it
// is empty, those that are named as the root's: from 1 to the first that is not
// there.
func readSignatures(root *os.Root, d digest.Digest) ([]transport.Signature, error) {
	sigs := []transport.Signature{}
	for {
		name := signatureName(d, len(sigs)+1)
		data, err := rootfile.Read(root, name, maxSignatureBytes)
		if errdefs.IsNotFound(err) {
			return sigs, nil
		}
		if err != nil {
			return nil, err
		}
		sigs = append(sigs, data)
		if err := checkSignatures(sigs); err != nil {
			return nil, err
		}
	}
}

// checkSignatures checks the signatures of one manifest against the limits.
func checkSignatures(sigs []transport.Signature) error {
	if len(sigs) > maxSignatures {
		return fmt.Errorf("more than %d signatures: %w", maxSignatures, errdefs.ErrResourceExhausted)
	}
	total := 0
	for i, sig := range sigs {
		if len(sig) > maxSignatureBytes {
			return fmt.Errorf("signature %d has %d bytes, the limit is %d: %w", i+1, len(sig), maxSignatureBytes, errdefs.ErrResourceExhausted)
		}
		total += len(sig)
	}
	if total > maxSignaturesBytes {
		return fmt.Errorf("signatures have more than %d bytes together: %w", maxSignaturesBytes, errdefs.ErrResourceExhausted)
	}
	return nil
}

// listing is what is in the directory: each name with what it says.
type listing map[string]entry

func list(root *os.Root) (listing, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("listing the directory: %w", err)
	}
	l := listing{}
	for _, e := range entries {
		what := parseEntry(e.Name())
		what.isDir = e.IsDir()
		l[e.Name()] = what
	}
	return l, nil
}

// has reports whether there is a file of that name.
func (l listing) has(name string) bool {
	e, ok := l[name]
	return ok && !e.isDir
}

// signatures returns the numbers of the signatures of each manifest, sorted; for
// the empty digest, of those that are named as the root's.
func (l listing) signatures() map[digest.Digest][]int {
	numbers := map[digest.Digest][]int{}
	for _, e := range l {
		if e.kind == signatureEntry {
			numbers[e.digest] = append(numbers[e.digest], e.number)
		}
	}
	for _, n := range numbers {
		slices.Sort(n)
	}
	return numbers
}

// isContentError reports whether an error tells of what a file holds, or that it
// is not there, and not of a failure to read it.
func isContentError(err error) bool {
	return errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) || errdefs.IsInvalidArgument(err) ||
		errdefs.IsResourceExhausted(err) || errdefs.IsNotImplemented(err)
}
