package copy

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
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

// simpleSigningClaim reads the payload that cosign signs, the format of
// containers' simple signing.
func simpleSigningClaim(data []byte) []digest.Digest {
	var payload struct {
		Critical struct {
			Image struct {
				Digest digest.Digest `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if json.Unmarshal(data, &payload) != nil {
		return nil
	}
	return []digest.Digest{payload.Critical.Image.Digest}
}

// dsseClaim reads an in-toto statement in a DSSE envelope.
func dsseClaim(data []byte) []digest.Digest {
	var envelope struct {
		Payload []byte `json:"payload"`
	}
	var statement struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(data, &envelope) != nil || json.Unmarshal(envelope.Payload, &statement) != nil {
		return nil
	}
	var claimed []digest.Digest
	for _, s := range statement.Subject {
		for alg, hex := range s.Digest {
			claimed = append(claimed, digest.NewDigestFromEncoded(digest.Algorithm(alg), hex))
		}
	}
	return claimed
}
