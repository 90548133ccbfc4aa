package image_test

import (
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// sha512Of returns a digest that does not come from the code under test.
func sha512Of(s string) digest.Digest {
	sum := sha512.Sum512([]byte(s))
	return digest.Digest("sha512:" + hex.EncodeToString(sum[:]))
}

func TestParseDigest(t *testing.T) {
	t.Parallel()
	hex64, hex96, hex128 := strings.Repeat("0a", 32), strings.Repeat("0a", 48), strings.Repeat("0a", 64)
	for _, test := range []struct {
		name, in string
		kind     error
		says     string
	}{
		{name: "sha256", in: "sha256:" + hex64},
		{name: "B12 sha384", in: "sha384:" + hex96},
		{name: "B12 sha512", in: "sha512:" + hex128},
		{name: "B09 empty", in: "", kind: errdefs.ErrInvalidArgument, says: `digest "" has no algorithm`},
		{name: "B09 no colon", in: hex64, kind: errdefs.ErrInvalidArgument, says: "has no algorithm"},
		{name: "B09 no hex", in: "sha256:", kind: errdefs.ErrInvalidArgument, says: `digest "sha256:" is not sha256 and 64 lower-case hex characters`},
		{name: "B09 63 characters", in: "sha256:" + hex64[:63], kind: errdefs.ErrInvalidArgument, says: "is not sha256 and 64"},
		{name: "B09 65 characters", in: "sha256:" + hex64 + "0", kind: errdefs.ErrInvalidArgument, says: "is not sha256 and 64"},
		{name: "B09 sha512 of the length of sha256", in: "sha512:" + hex64, kind: errdefs.ErrInvalidArgument, says: "is not sha512 and 128"},
		{name: "B09 upper-case hex", in: "sha256:" + strings.ToUpper(hex64), kind: errdefs.ErrInvalidArgument, says: "lower-case"},
		{name: "B09 upper-case algorithm", in: "SHA256:" + hex64, kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "B09 not hex", in: "sha256:" + hex64[:63] + "g", kind: errdefs.ErrInvalidArgument, says: "is not sha256"},
		{name: "B09 other digits", in: "sha256:" + hex64[:62] + "٣", kind: errdefs.ErrInvalidArgument, says: `\u0663`},
		{name: "B09 space around", in: " sha256:" + hex64, kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "two colons", in: "sha256:sha256:" + hex64, kind: errdefs.ErrInvalidArgument, says: "is not sha256"},
		{name: "no algorithm", in: ":" + hex64, kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "B10 path", in: "sha256:../../../../etc/passwd", kind: errdefs.ErrInvalidArgument, says: `"sha256:../../../../etc/passwd"`},
		{name: "B10 path of the right length", in: "sha256:" + strings.Repeat("../", 21) + "a", kind: errdefs.ErrInvalidArgument, says: "is not sha256"},
		{name: "B10 path as algorithm", in: "../x:" + hex64, kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "B10 NUL", in: "sha256:" + hex64[:63] + "\x00", kind: errdefs.ErrInvalidArgument, says: `\x00`},
		{name: "B10 newline", in: "sha256:" + hex64 + "\n", kind: errdefs.ErrInvalidArgument, says: `\n`},
		{name: "B10 percent", in: "sha256:%2f" + hex64[:61], kind: errdefs.ErrInvalidArgument, says: "%2f"},
		{name: "format verbs", in: "sha256:%s%s%n", kind: errdefs.ErrInvalidArgument, says: `"sha256:%s%s%n"`},
		{name: "B11 md5", in: "md5:d41d8cd98f00b204e9800998ecf8427e", kind: errdefs.ErrNotImplemented, says: "has an unknown algorithm"},
		{name: "B11 sha1", in: "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", kind: errdefs.ErrNotImplemented, says: "has an unknown algorithm"},
		{name: "B11 blake3", in: "blake3:" + hex64, kind: errdefs.ErrNotImplemented, says: "has an unknown algorithm"},
		{name: "B11 multihash", in: "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", kind: errdefs.ErrNotImplemented, says: "has an unknown algorithm"},
		{name: "unknown, all separators", in: "a+b.c_d-e:Z=_-", kind: errdefs.ErrNotImplemented, says: "has an unknown algorithm"},
		{name: "unknown, separator first", in: "+a:0", kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "unknown, separator last", in: "a+:0", kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "unknown, two separators", in: "a+-b:0", kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "unknown, nothing encoded", in: "md5:", kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "unknown, slash", in: "md5:a/b", kind: errdefs.ErrInvalidArgument, says: "is malformed"},
		{name: "a megabyte", in: "sha256:" + strings.Repeat("a", 1<<20), kind: errdefs.ErrInvalidArgument, says: `…`},
	} {
		got, err := image.ParseDigest(test.in)
		if test.kind == nil {
			if err != nil || string(got) != test.in || got.Validate() != nil {
				t.Errorf("%s: %q, %v, go-digest says %v", test.name, got, err, got.Validate())
			}
			continue
		}
		refused(t, err, test.kind, test.says)
		if got != "" || len(err.Error()) > 500 {
			t.Errorf("%s: %q and an error of %d bytes", test.name, got, len(err.Error()))
		}
	}
}

func TestDigestOf(t *testing.T) {
	t.Parallel()
	const sha384OfABC = "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
	for _, test := range []struct {
		name, in, mediaType string
		alg, want           digest.Digest
	}{
		{"nothing", "", "", "", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"sha256", "abc", "", "sha256", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"B12 sha384", "abc", "", "sha384", sha384OfABC},
		{"B12 sha512", "abc", "", "sha512", sha512Of("abc")},
		{"unsigned schema 1", unsigned, image.MediaTypeDockerSchema1, "", digestOf(unsigned)},
		{"signed schema 1", signed(unsigned, 1), image.MediaTypeDockerSchema1Signed, "", digestOf(unsigned)},
		{"signed schema 1, twice", signed(unsigned, 2), image.MediaTypeDockerSchema1Signed, "", digestOf(unsigned)},
		{"signed schema 1, sha512", signed(unsigned, 1), image.MediaTypeDockerSchema1Signed, "sha512", sha512Of(unsigned)},
		{"signed schema 1 as what it is not", signed(unsigned, 1), image.MediaTypeDockerSchema1, "", digestOf(signed(unsigned, 1))},
	} {
		got, err := image.DigestOf([]byte(test.in), test.mediaType, digest.Algorithm(test.alg))
		if err != nil || got != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, got, err, test.want)
		}
	}
	_, err := image.DigestOf(nil, "", "md5")
	refused(t, err, errdefs.ErrNotImplemented, `digest algorithm "md5" is unknown`)
	_, err = image.DigestOf([]byte(unsigned), image.MediaTypeDockerSchema1Signed, "")
	refused(t, err, errdefs.ErrInvalidArgument, "signatures: a signed manifest has at least one")
}

func TestVerifyBytes(t *testing.T) {
	t.Parallel()
	newDesc := func(size int64) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: "a/b", Digest: digestOf("new"), Size: size}
	}
	signedDesc := ocispec.Descriptor{MediaType: image.MediaTypeDockerSchema1Signed, Digest: digestOf(unsigned), Size: -1}
	for _, test := range []struct {
		name, data string
		desc       ocispec.Descriptor
		kind       error
		says       string
	}{
		{name: "right", data: "new", desc: newDesc(3)},
		{name: "size not known", data: "new", desc: newDesc(-1)},
		{name: "B12 sha512", data: "new", desc: ocispec.Descriptor{Digest: sha512Of("new"), Size: 3}},
		{name: "signed schema 1", data: signed(unsigned, 1), desc: signedDesc},
		{name: "B01 too short", data: "ne", desc: newDesc(3), kind: errdefs.ErrDataLoss, says: "$new: 2 bytes where its descriptor says 3"},
		{name: "B02 too long", data: "news", desc: newDesc(3), kind: errdefs.ErrDataLoss, says: "$new: 4 bytes where its descriptor says 3"},
		{name: "B03 other bytes", data: "old", desc: newDesc(3), kind: errdefs.ErrDataLoss, says: "$new: it has digest " + digestOf("old").String()},
		{name: "B04 size lies", data: "new", desc: newDesc(4), kind: errdefs.ErrDataLoss, says: "$new: 3 bytes where its descriptor says 4"},
		{name: "size below -1", data: "new", desc: newDesc(-2), kind: errdefs.ErrDataLoss, says: "says -2"},
		{name: "digest malformed", data: "new", desc: ocispec.Descriptor{Digest: "sha256:x", Size: 3}, kind: errdefs.ErrInvalidArgument, says: `"sha256:x"`},
		{name: "digest unknown", data: "new", desc: ocispec.Descriptor{Digest: "md5:00", Size: 3}, kind: errdefs.ErrNotImplemented, says: `"md5:00"`},
		{name: "not signed after all", data: unsigned, desc: signedDesc, kind: errdefs.ErrInvalidArgument, says: "signatures"},
	} {
		err := image.VerifyBytes([]byte(test.data), test.desc)
		if test.kind != nil {
			refused(t, err, test.kind, expand(test.says))
		} else if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
