package copy

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
)

// statement is an in-toto statement about a digest in a DSSE envelope.
func statement(d digest.Digest) string {
	s := fmt.Sprintf(`{"_type":"x","subject":[{"name":"a","digest":{%q:%q}},{"digest":{"sha1":"0"}}]}`, d.Algorithm(), d.Encoded())
	return fmt.Sprintf(`{"payloadType":"application/vnd.in-toto+json","payload":%q}`, base64.StdEncoding.EncodeToString([]byte(s)))
}

func TestClaims(t *testing.T) {
	t.Parallel()
	const simple, dsse = "application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json"
	d := digest.FromString("image")
	for name, tt := range map[string]struct {
		mediaType, payload string
		want               bool
	}{
		"simple signing":                    {simple, `{"critical":{"identity":{},"image":{"docker-manifest-digest":"` + d.String() + `"},"type":"x"},"optional":null}`, true},
		"simple signing of something else":  {simple, `{"critical":{"image":{"docker-manifest-digest":"sha256:0"}}}`, false},
		"simple signing of nothing":         {simple, `{"critical":{"image":{}}}`, false},
		"simple signing with the key twice": {simple, `{"critical":{"image":{"docker-manifest-digest":"x","docker-manifest-digest":"` + d.String() + `"}}}`, false},
		"simple signing that is no JSON":    {simple, `nothing`, false},
		"simple signing of a number":        {simple, `{"critical":{"image":{"docker-manifest-digest":7}}}`, false},
		"a statement":                       {dsse, statement(d), true},
		"a statement about something else":  {dsse, statement(digest.FromString("else")), false},
		"a statement that is not base64":    {dsse, `{"payload":"%"}`, false},
		"an envelope without payload":       {dsse, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := slices.Contains(claimIn(tt.mediaType)([]byte(tt.payload)), d); got != tt.want {
				t.Errorf("the payload is about the image: %v, want %v", got, tt.want)
			}
		})
	}
	if claimIn("application/octet-stream") != nil {
		t.Error("a payload of an unknown type is read")
	}
}

func FuzzClaims(f *testing.F) {
	d := digest.FromString("image")
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"` + d.String() + `"}}}`))
	f.Add([]byte(statement(d)))
	f.Add([]byte(`{"payload":"e30="}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		simpleSigningClaim(data)
		dsseClaim(data)
	})
}
