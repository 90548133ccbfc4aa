package copy

import (
	"encoding/base64"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// claimBytes bounds the payloads that are read to see what they are about; a
// larger one is believed by the name under which it is kept.
const claimBytes = 4 << 20

// claimIn returns the function that tells which digests a payload of a media type
// is about, or nil for a type that does not say. What is found is only compared,
// never acted on: whether a signature is good is not decided here.
func claimIn(mediaType string) func(data []byte) []digest.Digest {
	switch mediaType {
	case "application/vnd.dev.cosign.simplesigning.v1+json":
		return simpleSigningClaim
	case "application/vnd.dsse.envelope.v1+json":
		return dsseClaim
	}
	return nil
}

// simpleSigningClaim reads the payload that cosign signs, which has the form of
// containers' simple signing.
func simpleSigningClaim(data []byte) []digest.Digest {
	text := ""
	err := strictjson.Read(data, strictjson.Limits{Bytes: claimBytes}, func(r *strictjson.Reader) error {
		return within(r, func() (err error) {
			text, err = r.String()
			return err
		}, "critical", "image", "docker-manifest-digest")
	})
	if err != nil {
		return nil
	}
	return []digest.Digest{digest.Digest(text)}
}

// dsseClaim reads an in-toto statement in a DSSE envelope.
func dsseClaim(data []byte) []digest.Digest {
	payload := ""
	err := strictjson.Read(data, strictjson.Limits{Bytes: claimBytes}, func(r *strictjson.Reader) error {
		return within(r, func() (err error) {
			payload, err = r.String()
			return err
		}, "payload")
	})
	if err != nil {
		return nil
	}
	statement, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return nil
	}
	var claimed []digest.Digest
	err = strictjson.Read(statement, strictjson.Limits{Bytes: claimBytes}, func(r *strictjson.Reader) error {
		return within(r, func() error {
			return r.Array(func(int) error {
				return within(r, func() error {
					digests, err := r.StringMap()
					for alg, hex := range digests {
						claimed = append(claimed, digest.NewDigestFromEncoded(digest.Algorithm(alg), hex))
					}
					return err
				}, "digest")
			})
		}, "subject")
	})
	if err != nil {
		return nil
	}
	return claimed
}

// within reads the value at the end of a path of object members, and skips all
// else. It reads nothing where the path does not exist.
func within(r *strictjson.Reader, read func() error, path ...string) error {
	if len(path) == 0 {
		return read()
	}
	return r.Map(func(name string) error {
		if name != path[0] {
			return r.Skip()
		}
		return within(r, read, path[1:]...)
	})
}
